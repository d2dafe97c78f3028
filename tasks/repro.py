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
from tasks.dvc import CHATTER, repository, search_path
from tasks.params import load
from tasks.preflight import preflight

LOCK = Path("dvc.lock")
STAGE_LINE = re.compile(r"^(?:Running stage|Stage) '(?P<name>[^']+)'(?P<rest>.*)")
# Options of dvc repro that choose the stages it looks at.
CHOICE = ("targets", "single_item", "pipeline", "all_pipelines", "downstream", "recursive", "glob")
# What the counter already tells, or nobody needs here.
QUIET = (*CHATTER, "> ", "Updating lock file")


@exits_cleanly
def main() -> None:
    preflight(load())  # what makes the run impossible is told in one line, before DVC starts
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
    environment = os.environ | {"PATH": search_path()}
    started, ran = time.monotonic(), 0
    seen: set[str] = set()  # DVC may name a stage twice
    # Only stdout is read: progress bars are on stderr and stay on the terminal.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := STAGE_LINE.match(line):
                seen.add(match["name"])
                if line.startswith("Running"):
                    ran += 1
                    minutes, seconds = divmod(int(time.monotonic() - started), 60)
                    print(f"[{len(seen)}/{stages}] {match['name']}  at {minutes}:{seconds:02d}", flush=True)
            elif line.strip() and not line.startswith(QUIET):
                print(f"    {line}", end="", flush=True)
    if process.returncode:
        raise UserError("the pipeline stopped at the stage above: mend what it says and run the same command again")
    return ran


def _stage_count(arguments: list[str]) -> int:
    """How many stages `dvc repro ARGUMENTS` looks at."""
    from dvc.cli import DvcParserError, parse_args

    try:
        options = parse_args(["repro", *arguments])
    except DvcParserError:
        sys.exit(2)  # DVC has said what it does not take
    choice = {name: getattr(options, name) for name in CHOICE}
    looked_at = []
    with repository(wait_for_lock=False) as repo:
        repo.reproduce(**choice, repro_fn=lambda stage, **_: looked_at.append(stage))
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
