"""What Prefect adds to `dvc repro`: wall times of both on a toy graph of the quickstart's size.

Usage: python -m bench.flow_overhead [--tasks N] [--students N] [--seconds S]

The graph has the quickstart's form: per task a download, a teacher and its predictions, per student a general model,
per pair two distillations and an evaluation, and a report. Each stage sleeps for S seconds, so that two workers can
show what they gain; with S = 0 only the overhead is left. Each way runs in a folder of its own; the dvc.lock of all
is compared.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DVC_YAML = """\
stages:
  download:
    foreach: ${tasks}
    do: {cmd: "sleep ${seconds}; echo ${key} > raw-${key}", params: ["tasks.${key}"], outs: ["raw-${key}"]}
  teacher:
    foreach: ${tasks}
    do: {cmd: "sleep ${seconds}; cp raw-${key} teacher-${key}", deps: ["raw-${key}"], outs: ["teacher-${key}"]}
  predict:
    foreach: ${tasks}
    do: {cmd: "sleep ${seconds}; cp teacher-${key} logits-${key}", deps: ["teacher-${key}"], outs: ["logits-${key}"]}
  general:
    foreach: ${students}
    do: {cmd: "sleep ${seconds}; echo ${key} > general-${key}", params: ["students.${key}"], outs: ["general-${key}"]}
  intermediate:
    matrix: {task: "${tasks}", student: "${students}"}
    cmd: "sleep ${seconds}; cat logits-${item.task} general-${item.student} > one-${item.task}-${item.student}"
    deps: ["logits-${item.task}", "general-${item.student}"]
    outs: ["one-${item.task}-${item.student}"]
  prediction:
    matrix: {task: "${tasks}", student: "${students}"}
    cmd: "sleep ${seconds}; cp one-${item.task}-${item.student} two-${item.task}-${item.student}"
    deps: ["one-${item.task}-${item.student}"]
    outs: ["two-${item.task}-${item.student}"]
  evaluate:
    matrix: {task: "${tasks}", student: "${students}"}
    cmd: "sleep ${seconds}; mkdir -p results; cp two-${item.task}-${item.student} results/${item.task}-${item.student}"
    deps: ["two-${item.task}-${item.student}"]
    outs: ["results/${item.task}-${item.student}"]
  report:
    cmd: cat results/* > report
    deps: [results]
    outs: [report]
"""


def build(folder: Path, tasks: int, students: int, seconds: float) -> None:
    """A git and DVC repository with that pipeline, and the project's own DVC settings."""
    folder.mkdir()
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)
    shutil.copy(PROJECT / ".dvc/config", folder / ".dvc/config")
    names = {"tasks": tasks, "students": students}
    listed = "\n".join(
        f"{what}: {{{', '.join(f'{what[0]}{n}: {n}' for n in range(many))}}}" for what, many in names.items()
    )
    (folder / "params.yaml").write_text(f"profile: toy\nseconds: {seconds}\n{listed}\n")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / ".gitignore").write_text("/raw-*\n/teacher-*\n/logits-*\n/general-*\n/one-*\n/two-*\n/results\n/report\n")


def timed(folder: Path, *module: str) -> float:
    """Seconds that a command takes."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, capture_output=True, text=True, env=environment()
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - started


def environment() -> dict[str, str]:
    """Ours, with Prefect's files in a folder that outlives the runs, and no server but the flow's own."""
    kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return kept | {
        "PREFECT_HOME": str(Path(tempfile.gettempdir()) / "flow-overhead-prefect"),
        "DVC_NO_ANALYTICS": "1",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What Prefect adds to dvc repro.")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--students", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    ways = {
        "dvc repro": ("dvc", "repro"),
        "flows.pipeline, 1 worker": ("flows.pipeline", "--workers", "1"),
        "flows.pipeline, 2 workers": ("flows.pipeline", "--workers", "2"),
    }
    root = Path(tempfile.mkdtemp(prefix="flow-overhead-"))
    locks, base = [], 0.0
    try:
        for number, (way, command) in enumerate(ways.items()):
            folder = root / str(number)
            build(folder, **vars(arguments))
            first, second = timed(folder, *command), timed(folder, *command)
            locks.append((folder / "dvc.lock").read_bytes())
            base = base or first
            print(
                f"{way:<26} {first:6.1f} s ({first - base:+.1f} s), with nothing to do {second:5.1f} s",
                flush=True,
            )
        print(f"dvc.lock the same: {len(set(locks)) == 1}")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
