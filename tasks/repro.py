"""`dvc repro`, telling which stage of how many is at work, and whether the committed results came out again.

Usage: python -m tasks.repro [arguments of dvc repro]
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from confidistill.errors import UserError, exits_cleanly
from tasks.params import load

LOCK = Path("dvc.lock")
STAGE_LINE = re.compile(r"^(?:Running stage|Stage) '(?P<name>[^']+)'(?P<rest>.*)")
# Options of dvc repro that choose the stages it looks at.
CHOICE = ("targets", "single_item", "pipeline", "all_pipelines", "downstream", "recursive", "glob")
# What DVC says to a person at a prompt, and what the counter already tells.
CHATTER = (
    "> ",
    "Updating lock file",
    "Use `dvc push`",
    "\tgit add",
    "\tdvc config",
    "To track the changes",
    "To enable auto staging",
)


@exits_cleanly
def main() -> None:
    load()  # a mistake in params.yaml is told in one line, before DVC starts
    stages = _stage_count(sys.argv[1:])
    committed = subprocess.run(["git", "show", f"HEAD:{LOCK}"], capture_output=True, text=True).stdout
    ran = _repro(stages, sys.argv[1:])
    dry = "--dry" in sys.argv
    print(f"{ran} of {stages} stages {'would run' if dry else 'run'}, {stages - ran} up to date")
    if ran and committed and not dry:
        _compare(committed, LOCK.read_text())


def _repro(stages: int, arguments: list[str]) -> int:
    """Run dvc repro, a line a stage; the number of stages that ran."""
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    # The stages' `python` is this one, whether or not its environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    started, ran = time.monotonic(), 0
    seen: set[str] = set()  # DVC may name a stage twice
    # Only stdout is read: progress bars are on stderr and stay on the terminal.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PATH": path}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := STAGE_LINE.match(line):
                seen.add(match["name"])
                if line.startswith("Running"):
                    ran += 1
                    minutes, seconds = divmod(int(time.monotonic() - started), 60)
                    print(f"[{len(seen)}/{stages}] {match['name']}  at {minutes}:{seconds:02d}", flush=True)
            elif line.strip() and not line.startswith(CHATTER):
                print(f"    {line}", end="", flush=True)
    if process.returncode:
        raise UserError("the pipeline stopped at the stage above: mend what it says and run the same command again")
    return ran


def _stage_count(arguments: list[str]) -> int:
    """How many stages `dvc repro ARGUMENTS` looks at."""
    from dvc.cli import DvcParserError, parse_args
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    looked_at = []
    try:
        options = parse_args(["repro", *arguments])
        choice = {name: getattr(options, name) for name in CHOICE}
        with Repo() as repo:
            repo.reproduce(**choice, repro_fn=lambda stage, **_: looked_at.append(stage))
    except DvcParserError:
        sys.exit(2)  # DVC has said what it does not take
    except NotDvcRepoError:
        where = f"{Path.cwd()} is not a DVC repository"
        raise UserError(f"{where}: run in the root of a git clone of the project") from None
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None
    return len(looked_at)


def _compare(committed: str, current: str) -> None:
    """Say whether the outputs have the hashes of the committed dvc.lock, or which stages differ."""
    before, after = (YAML(typ="safe").load(text)["stages"] for text in (committed, current))
    common = [name for name in after if name in before and _inputs(before[name]) == _inputs(after[name])]
    differing = [name for name in common if before[name].get("outs") != after[name].get("outs")]
    if differing:
        print("same inputs as in the committed dvc.lock, other bytes out: " + ", ".join(differing))
    elif len(common) == len(after):
        print("every output has the hash of the committed dvc.lock")


def _inputs(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "outs"}


if __name__ == "__main__":
    main()
