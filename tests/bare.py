"""An environment as `pip install confidistill` makes it, without a package index: the wheel, and what it requires."""

import re
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_source(folder: Path) -> Path:
    """A copy of this clone's committed files that a wheel could be made of."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(("confidistill/", "tasks/", "flows/")) or name in ("pyproject.toml", "README.md", "LICENSE"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def build_wheel(folder: Path) -> Path:
    """The wheel of this clone's committed files, built apart from it."""
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, copy_source(folder / "source"))
    (wheel,) = folder.glob("*.whl")
    return wheel


def bare_environment(folder: Path, wheel: Path) -> Path:
    """A virtual environment with the wheel, and links to the packages that it requires; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--no-compile", wheel)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for name in required_by(*base_requirements()):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            (packages / top).symlink_to(found.locate_file(top))
    return python


def base_requirements() -> list[str]:
    """The distributions that confidistill requires without an extra."""
    return [requirement for requirement in distribution("confidistill").requires or [] if ";" not in requirement]


def required_by(*names: str) -> set[str]:
    """These distributions and all that they require here, extras left out."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except ModuleNotFoundError:
            continue  # a requirement of other platforms
        found.add(name)
        left += [re.split(r"[^\w.-]", line)[0].lower() for line in requires if "extra ==" not in line]
    return found


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-index"]
    words = list(map(str, arguments))
    verb = next(index for index, word in enumerate(words) if word in ("wheel", "install"))
    subprocess.run([*command, *words[: verb + 1], *options, *words[verb + 1 :]], check=True)
