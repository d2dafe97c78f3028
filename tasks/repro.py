"""`dvc repro`, telling which stage of how many is at work, and whether the committed results came out again.

Usage: python -m tasks.repro [--jobs N|auto] [arguments of dvc repro]

`--jobs`: how many stages run side by side, each on its share of the cores, or on GPUs of its own; auto: as many as
there are pairs, and no more than cores. Of dvc repro's arguments it goes with targets alone.
"""

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confidistill.errors import UserError, exits_cleanly
from tasks import dag, processes
from tasks.committed import committed
from tasks.counted import Run
from tasks.dvc import repository
from tasks.lock import LOCK
from tasks.params import Params, load
from tasks.places import cores, share_cores
from tasks.preflight import preflight
from tasks.reproduced import compare

if TYPE_CHECKING:
    from dvc.stage import Stage

# Options of dvc repro that choose the stages it looks at.
CHOICE = ("targets", "single_item", "pipeline", "all_pipelines", "downstream", "recursive", "glob")


@exits_cleanly
def main() -> None:
    signal.signal(signal.SIGTERM, _end_all)
    params = load()
    jobs, arguments = _jobs(sys.argv[1:], params)
    preflight(params)  # what makes the run impossible is told in one line, before DVC starts
    stages, stale = _look(arguments)
    if not stale and not arguments:  # DVC would only find the same again
        print(f"0 of {stages} stages run, {stages} up to date")
        return
    committed_lock = committed(LOCK).decode()
    share_cores(jobs)
    run = Run(stages)
    first = [] if arguments else _first(params)
    if jobs > 1:
        urgent, plan = dag.read(first) if first else {}, dag.read(arguments)
        before, ordered = dag.lock_entries(), dag.longest_first(urgent) | dag.longest_first(plan)
        try:
            run.side_by_side(ordered, stale, jobs, params.processes)
        finally:
            dag.order_lock(before, urgent | plan)
    else:
        if first:
            run.repro(first)
        run.repro(arguments)
    ran = len(run.ran)
    dry = "--dry" in arguments
    print(f"{ran} of {stages} stages {'would run' if dry else 'run'}, {stages - ran} up to date")
    if ran and committed_lock and not dry:
        compare(committed_lock, LOCK.read_text())


def _jobs(given: list[str], params: Params) -> tuple[int, list[str]]:
    """How many stages side by side, and what is left for DVC."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--jobs", default="1")
    asked, arguments = options.parse_known_args(given)
    if asked.jobs != "auto" and not (asked.jobs.isdecimal() and int(asked.jobs)):
        raise UserError(f"--jobs {asked.jobs}: a whole number from 1 up, or auto, is needed")
    pairs = len(params.tasks) * len(params.students)
    jobs = min(pairs, cores()) if asked.jobs == "auto" else int(asked.jobs)
    if jobs > 1 and (option := next((each for each in arguments if each.startswith("-")), None)):
        raise UserError(f"--jobs {asked.jobs} goes with targets alone: leave {option} out, or --jobs")
    return jobs, arguments


def _end_all(number: int, _frame: object) -> None:
    """Hand a signal to this process alone, as a supervisor sends it, on to all that it has started, and end."""
    import psutil

    processes.stop_all()  # those first whose ends somebody here waits for: DVC believes a zombie to be at work
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    sys.exit(128 + number)


def _first(params: Params) -> list[str]:
    """Where its student is still to be made, the first pair's last stage: in a long run its verdict comes first."""
    task, student = next(iter(params.tasks)), next(iter(params.students))
    made = (Path("models/student") / task / student).exists()
    return [] if made or (len(params.tasks), len(params.students)) == (1, 1) else [f"evaluate@{task}-{student}"]


def _look(arguments: list[str]) -> tuple[int, set[str]]:
    """How many stages `dvc repro ARGUMENTS` looks at, and those of them that are not as dvc.lock has them."""
    from dvc.cli import DvcParserError, parse_args

    try:
        options = parse_args(["repro", *arguments])
    except DvcParserError:
        sys.exit(2)  # DVC has said what it does not take
    choice = {name: getattr(options, name) for name in CHOICE}
    looked_at, stale = 0, set()

    def look(stage: "Stage", **_: Any) -> None:
        nonlocal looked_at
        looked_at += 1
        if stage.changed():
            stale.add(stage.addressing)

    with repository(wait_for_lock=False) as repo:
        repo.reproduce(**choice, repro_fn=look)
    return looked_at, stale


if __name__ == "__main__":
    main()
