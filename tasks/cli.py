"""The commands of `confidistill` that know of params.yaml and the pipeline: use, report, doctor."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from confidistill.errors import UserError
from confidistill.files import atomic_file
from tasks.committed import committed
from tasks.params import PARAMS_FILE, load
from tasks.preflight import preflight

PROFILES = Path("profiles")
REPORT = Path("results/report.html")


def use(
    profile: Annotated[str, typer.Argument(help="A name in profiles/.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite changes to params.yaml.")] = False,
) -> None:
    """Copy profiles/PROFILE.yaml to params.yaml, after checking it."""
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if profile not in known:
        raise UserError(f"unknown profile {profile!r}: {PROFILES}/ has {', '.join(known) or 'none'}")
    source = PROFILES / f"{profile}.yaml"
    params = load(source)
    preflight(params)
    if not force:
        refuse_to_lose_changes()
    with atomic_file(PARAMS_FILE) as path:
        shutil.copyfile(source, path)
    pairs = len(params.tasks) * len(params.students)
    print(f"{PARAMS_FILE} is now {source}: {len(params.tasks)} tasks, {pairs} pairs; run `dvc repro` or `make demo`")


def refuse_to_lose_changes() -> None:
    """Raise a UserError if params.yaml holds what neither git nor a profile has."""
    if not PARAMS_FILE.exists():
        return
    kept = [committed(PARAMS_FILE), *(path.read_bytes() for path in PROFILES.glob("*.yaml"))]
    if PARAMS_FILE.read_bytes() not in kept:
        raise UserError(
            f"{PARAMS_FILE} has changes that are not committed: commit them, keep them as {PROFILES}/NAME.yaml, or "
            "overwrite them with --force"
        )


def report() -> None:
    """Print the verdict table of the last run and say where the report is."""
    from confidistill.report.tables import terminal_table
    from confidistill.report.variants import terminal_variants
    from tasks.pairs import load_pairs

    params = load()
    if not REPORT.exists():
        raise UserError(f"{REPORT}: no such file: run `make demo` or `dvc repro` first")
    pairs = load_pairs(params)
    print(terminal_table(pairs))
    if deployed := terminal_variants(pairs):
        print(f"\n{deployed}")
    print(f"report: {REPORT.resolve()}")


def doctor(quiet: Annotated[bool, typer.Option("--quiet", help="Print what is wrong only.")] = False) -> None:
    """Check what the pipeline needs: Python, packages, git and DVC, disk, device."""
    problems = []
    facts = {"python": platform.python_version()}
    for package in ("torch", "transformers", "datasets", "dvc", "prefect", "numpy", "pandas"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            problems.append(f"{package} is not installed: run `make demo`, which installs it")
    if not shutil.which("git"):
        problems.append("git is not installed")
    if not Path(".git").exists() or not Path(".dvc").is_dir():
        problems.append(
            f"{Path.cwd()} is not the root of a git and DVC repository: `git clone` the project, and run there"
        )
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    facts["free disk"] = f"{free:.1f} GiB"
    if free < 3:
        problems.append(f"only {free:.1f} GiB of disk are free in {Path.cwd()}: the quickstart needs 3")
    if not quiet:
        import torch

        facts["device"] = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
        )
        for name, fact in facts.items():
            print(f"{name:>14}  {fact}")
    if problems:
        raise UserError("; ".join(problems))
