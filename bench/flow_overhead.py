"""What Prefect adds to `dvc repro`: wall times of both on a toy graph of the quickstart's size.

    python -m bench.flow_overhead [--tasks N] [--students N] [--seconds S]

The graph has the quickstart's form: per task a download, a teacher and its predictions, per student a general model,
per pair two distillations and an evaluation, and a report. Each stage sleeps for S seconds, so that two workers can
show what they gain; with S = 0 only the overhead is left. Each way runs in a folder of its own; the dvc.lock of all
is compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.options import parser
from bench.processes import ROOT
from bench.results import Report
from bench.timing import seconds

WAYS = {
    "dvc repro": ("dvc", "repro"),
    "flows.pipeline, 1 worker": ("flows.pipeline", "--workers", "1"),
    "flows.pipeline, 2 workers": ("flows.pipeline", "--workers", "2"),
}
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


def params(tasks: int, students: int) -> dict[str, Any]:
    """The quickstart's, which a flow wants whole, with so many copies of its first task and student."""
    content: dict[str, Any] = YAML(typ="safe").load(ROOT / "profiles/quickstart.yaml")
    task, student = (next(iter(content[name].values())) for name in ("tasks", "students"))
    names = [f"t{number}" for number in range(tasks)], [f"s{number}" for number in range(students)]
    pairs = [f"{one}-{other}" for one in names[0] for other in names[1]]
    return content | {
        "profile": "toy",
        "tasks": dict.fromkeys(names[0], task),
        "students": dict.fromkeys(names[1], student),
        "pairs": {name: {"intermediate": {}, "prediction": {}} for name in pairs},
        "augment": dict.fromkeys(names[0]),
    }


def build(folder: Path, tasks: int, students: int, seconds: float) -> None:
    """A git and DVC repository with that pipeline, and the project's own DVC settings."""
    folder.mkdir()
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(params(tasks, students), file)
    (folder / "dvc.yaml").write_text(f"vars: [{{seconds: {seconds}}}]\n{DVC_YAML}")
    (folder / ".gitignore").write_text("/raw-*\n/teacher-*\n/logits-*\n/general-*\n/one-*\n/two-*\n/results\n/report\n")


def run(folder: Path, module: Sequence[str]) -> None:
    """Run a command, which must succeed."""
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def environment() -> dict[str, str]:
    """Ours, with Prefect's files in a folder that outlives the runs, and no server but the flow's own."""
    kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return kept | {
        "PREFECT_HOME": str(Path(tempfile.gettempdir()) / "flow-overhead-prefect"),
        "DVC_NO_ANALYTICS": "1",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--tasks", type=int, default=2)
    options.add_argument("--students", type=int, default=2)
    options.add_argument("--seconds", type=float, default=0.0, help="that a stage sleeps")
    asked = options.parse_args(arguments)
    report = Report("flow_overhead", dtype="", seed=0, **vars(asked))
    locks: list[bytes] = []
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="flow-overhead-") as root:
        for number, (way, command) in enumerate(WAYS.items()):
            folder = Path(root, str(number))
            build(folder, **vars(asked))
            found[way] = [seconds(partial(run, folder, command)) for _ in ("all stages", "nothing to do")]
            locks.append((folder / "dvc.lock").read_bytes())
    plain, *flows = WAYS
    report.figure(f"{plain}, nothing to do", found[plain][1], "s")
    for way in flows:
        for what, own, theirs in zip(("", ", nothing to do"), found[way], found[plain], strict=True):
            report.beside(f"{way}{what}", own, "s", plain, theirs)
    same = len(set(locks)) == 1
    print(f"dvc.lock the same: {same}")
    report.write(same_lock=same)


if __name__ == "__main__":
    main()
