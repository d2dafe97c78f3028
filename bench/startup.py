"""Seconds until a stage or command begins its work, fresh and forked from a warm process, beside importing torch alone.

    python -m bench.startup [--stage NAME ...] [--rounds 5]

A fresh process is Python's start, the imports and its end; a forked one (tasks/warm) the command that DVC starts, the
fork, the imports that are left and the end. All in turn.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.options import parser
from bench.processes import ROOT
from bench.results import Report
from bench.timing import in_turn, seconds
from tasks.warm import A_STAGE, WORTH_IT, Warm

TORCH = "importing torch alone"
STAGES = {
    "download_data": "tasks.download_data",
    "augment, with a masked LM": "tasks.augment confidistill.augmentation.augment confidistill.augmentation.masked_lm",
    "finetune_teacher": "tasks.finetune_teacher confidistill.distillation.finetuning",
    "predict_teacher": "tasks.predict_teacher confidistill.classifiers.huggingface",
    "general_distill": "tasks.general_distill confidistill.distillation.general",
    "distill_intermediate": "tasks.distill_intermediate confidistill.distillation.intermediate",
    "distill_prediction": "tasks.distill_prediction confidistill.distillation.prediction",
    "evaluate": "tasks.evaluate confidistill.classifiers.huggingface confidistill.report.figures",
    "report": "tasks.report",
    "confidistill check": "confidistill.cli",
}


def imports(modules: str) -> str:
    """A program that imports what a stage does, as it does."""
    lines = "".join(f"    import {module}\n" for module in modules.split())
    return f"from confidistill.imports import importing\nwith importing():\n{lines}"


def run(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Wall time of a process."""
    return seconds(lambda: subprocess.run(command, cwd=folder, env=environment, check=True))


def write_stages(folder: Path, stages: Sequence[str]) -> None:
    """A package `tasks` of the same modules and of `begin0`, `begin1` ..., stages that only import."""
    (folder / "tasks").mkdir()
    (folder / "tasks/__init__.py").write_text(f"__path__.append({str(ROOT / 'tasks')!r})\n")
    for number, stage in enumerate(stages):
        (folder / f"tasks/begin{number}.py").write_text(imports(STAGES[stage]))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--stage", choices=STAGES, action="append", help="default: all")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args(arguments)
    stages = asked.stage or list(STAGES)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    warm = Warm()
    forked = warm.environment(own)
    for _ in range(WORTH_IT):
        warm.see(A_STAGE, own)
    report = Report("startup", dtype="", seed=0, rounds=asked.rounds)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_stages(folder, stages)
        while not Path(forked["SHELL"]).with_name("socket").exists():
            time.sleep(0.1)
        works = {TORCH: partial(run, [sys.executable, "-c", "import torch"], folder, own)}
        for way, environment in {"fresh": own | {"SHELL": "/bin/sh"}, "forked": forked}.items():
            for number, stage in enumerate(stages):
                command = [environment["SHELL"], "-c", f"python -m tasks.begin{number}"]
                works[f"{stage}, {way}"] = partial(run, command, folder, environment)
        found = in_turn(works, asked.rounds)
    for stage in stages:
        for way in ("fresh", "forked"):
            report.beside(f"{stage}, {way}", found[f"{stage}, {way}"], "s", TORCH, found[TORCH])
    report.write()


if __name__ == "__main__":
    main()
