"""`dvc repro`, telling which stage of how many is at work, and whether the committed results came out again.

Usage: python -m tasks.repro [arguments of dvc repro]
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confidistill.confidence.verdict import SIGMA
from confidistill.errors import UserError, exits_cleanly
from tasks.committed import committed
from tasks.dvc import CHATTER, repository, search_path
from tasks.lock import LOCK, stages_in
from tasks.params import Params, load
from tasks.preflight import preflight
from tasks.warm import Warm

if TYPE_CHECKING:
    from dvc.stage import Stage

STAGE_LINE = re.compile(r"^(?:Running stage|Stage) '(?P<name>[^']+)'(?P<rest>.*)")
# Options of dvc repro that choose the stages it looks at.
CHOICE = ("targets", "single_item", "pipeline", "all_pipelines", "downstream", "recursive", "glob")
# Of sigma and of accuracies, which processors that round otherwise may move. (SSE4 in place of AVX-512, 600 rows of
# `movies` in fp32: 3e-9; rounding grows with the steps, and in bf16.)
TOLERANCE = 0.01
CODE = ("confidistill/", "tasks/", "params.yaml")
# What the counter already tells, or nobody needs here.
QUIET = (*CHATTER, "> ", "Updating lock file")


@exits_cleanly
def main() -> None:
    signal.signal(signal.SIGTERM, _end_all)
    params = load()
    preflight(params)  # what makes the run impossible is told in one line, before DVC starts
    stages, changed = _look(sys.argv[1:])
    if not changed and not sys.argv[1:]:  # DVC would only find the same again
        print(f"0 of {stages} stages run, {stages} up to date")
        return
    committed_lock = committed(LOCK).decode()
    run = Run(stages)
    first = None if sys.argv[1:] else _first_pair(params)
    if first:
        run.repro([f"evaluate@{'-'.join(first)}"])
        print(f"    {_verdict(*first)}", flush=True)
    run.repro(sys.argv[1:])
    ran = run.ran
    dry = "--dry" in sys.argv
    print(f"{ran} of {stages} stages {'would run' if dry else 'run'}, {stages - ran} up to date")
    if ran and committed_lock and not dry:
        _compare(committed_lock, LOCK.read_text())


def _end_all(number: int, _frame: object) -> None:
    """Hand a signal to this process alone, as a supervisor sends it, on to all that it has started, and end."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    sys.exit(128 + number)


class Run:
    """One or more `dvc repro`, a line for each stage that runs, of so many in all."""

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.ran = 0
        self._seen: set[str] = set()  # DVC may name a stage twice
        self._started = time.monotonic()
        self._warm, self._own = Warm(), os.environ | {"PATH": search_path()}

    def repro(self, arguments: list[str]) -> None:
        """Run `dvc repro ARGUMENTS`.

        Raises:
            UserError: a stage has failed.
        """
        command = [sys.executable, "-m", "dvc", "repro", *arguments]
        environment = self._warm.environment(self._own)
        # Only stdout is read: progress bars are on stderr and stay on the terminal.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self._warm.see(line, self._own)
                self._tell(line)
        if process.returncode:
            raise UserError("the pipeline stopped at the stage above: mend what it says and run the same command again")

    def _tell(self, line: str) -> None:
        if match := STAGE_LINE.match(line):
            self._seen.add(match["name"])
            if line.startswith("Running"):
                self.ran += 1
                minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                print(f"[{len(self._seen)}/{self.stages}] {match['name']}  at {minutes}:{seconds:02d}", flush=True)
        elif line.strip() and not line.startswith(QUIET):
            print(f"    {line}", end="", flush=True)


def _first_pair(params: Params) -> tuple[str, str] | None:
    """Where its student is still to be made, the first pair: in a long run its verdict comes first."""
    task, student = next(iter(params.tasks)), next(iter(params.students))
    made = (Path("models/student") / task / student).exists()
    return None if made or (len(params.tasks), len(params.students)) == (1, 1) else (task, student)


def _verdict(task: str, student: str) -> str:
    metrics = json.loads((Path("results") / task / student / "metrics.json").read_text())
    sigma = metrics["train"][SIGMA[metrics["protocol"]]]
    shown = "undefined" if sigma is None else f"{sigma:.4f}"
    return f"{task}, {student}: {metrics['verdict']}: sigma {shown} on train, kappa {metrics['kappa']:g}"


def _look(arguments: list[str]) -> tuple[int, bool]:
    """How many stages `dvc repro ARGUMENTS` looks at, and whether any of them is not as dvc.lock has it."""
    from dvc.cli import DvcParserError, parse_args

    try:
        options = parse_args(["repro", *arguments])
    except DvcParserError:
        sys.exit(2)  # DVC has said what it does not take
    choice = {name: getattr(options, name) for name in CHOICE}
    looked_at, changed = 0, False

    def look(stage: "Stage", **_: Any) -> None:
        nonlocal looked_at, changed
        looked_at += 1
        changed = changed or stage.changed()

    with repository(wait_for_lock=False) as repo:
        repo.reproduce(**choice, repro_fn=look)
    return looked_at, changed


def _compare(committed_lock: str, current: str) -> None:
    """Say whether the outputs have the hashes of the committed dvc.lock, or how far the results are from its."""
    before, after = map(stages_in, (committed_lock, current))
    if any(name not in before or _recipe(before[name]) != _recipe(after[name]) for name in after):
        return  # another experiment, or other code
    differing = sum(before[name].get("outs") != after[name].get("outs") for name in after)
    if not differing:
        print("every output has the hash of the committed dvc.lock")
        return
    pairs = list(_committed_and_current())
    moved, which = max(_moved(pairs), default=(0.0, "nothing"))
    told = f"{differing} of {len(after)} stages with other bytes than the committed dvc.lock"
    within = f"sigma and accuracies within {moved:.2g} of the committed ({which}"
    precisions = {(was["precision"], now["precision"]) for _, was, now in pairs}
    other = sorted(f"{now}, not {was}" for was, now in precisions if was != now)
    if other:
        print(f"{told}, as precision auto is {' and '.join(other)}, on this machine: {within})")
    else:
        same = "same results" if moved <= TOLERANCE else "OTHER RESULTS"
        print(f"{told}, {same}: {within}; tolerated: {TOLERANCE})")


def _recipe(entry: dict[str, Any]) -> tuple[Any, ...]:
    """A stage's command, parameters and code: what it is, whatever its inputs' bytes are."""
    code = [dep for dep in entry.get("deps", []) if dep["path"].startswith(CODE)]
    return entry["cmd"], entry.get("params"), code


def _committed_and_current() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each metrics.json that is committed and there: its path, and both contents."""
    listed = subprocess.run(["git", "ls-files", "results/*/metrics.json"], capture_output=True, text=True).stdout
    for name in listed.splitlines():
        was = committed(name)
        if was and Path(name).exists():
            yield name, json.loads(was), json.loads(Path(name).read_text())


def _moved(pairs: Iterable[tuple[str, dict[str, Any], dict[str, Any]]]) -> Iterator[tuple[float, str]]:
    """How far each sigma and accuracy of the results is from the committed, and which it is."""
    for name, was, now in pairs:
        before, after = dict(_measures(was)), dict(_measures(now))
        for key in before.keys() & after.keys():
            yield abs(before[key] - after[key]), f"{key} in {name}"


def _measures(metrics: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every sigma and accuracy of a metrics.json, with its path in it."""
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from _measures(value, f"{prefix}{key}.")
        elif key.startswith(("sigma", "accuracy")) and isinstance(value, float):
            yield prefix + key, value


if __name__ == "__main__":
    main()
