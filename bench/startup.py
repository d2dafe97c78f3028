"""Seconds until a stage or command begins its work, fresh and forked from a warm process, beside importing torch alone.

python -m bench.startup [ROUNDS]

A fresh process is Python's start, the imports and its end; a forked one (tasks/warm) the command that DVC starts, the
fork, the imports that are left and the end. Each is the median over interleaved rounds; × is over torch alone.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.warm import A_STAGE, WORTH_IT, Warm

ROOT = Path(__file__).parents[1]
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


def seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Wall time of a process."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - started


def write_stages(folder: Path) -> None:
    """A package `tasks` of the same modules and of `begin0`, `begin1` ..., stages that only import."""
    (folder / "tasks").mkdir()
    (folder / "tasks/__init__.py").write_text(f"__path__.append({str(ROOT / 'tasks')!r})\n")
    for number, modules in enumerate(STAGES.values()):
        (folder / f"tasks/begin{number}.py").write_text(imports(modules))


def main(rounds: int = 5) -> dict[str, dict[str, float]]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    warm = Warm()
    forked = warm.environment(own)
    for _ in range(WORTH_IT):
        warm.see(A_STAGE, own)
    alone: list[float] = []
    ways = {"fresh": own | {"SHELL": "/bin/sh"}, "forked": forked}
    times: dict[str, dict[str, list[float]]] = {stage: {way: [] for way in ways} for stage in STAGES}
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_stages(folder)
        while not Path(forked["SHELL"]).with_name("socket").exists():
            time.sleep(0.1)
        for _ in range(rounds):
            alone.append(seconds([sys.executable, "-c", "import torch"], folder, own))
            for number, stage in enumerate(STAGES):
                for way, environment in ways.items():
                    command = [environment["SHELL"], "-c", f"python -m tasks.begin{number}"]
                    times[stage][way].append(seconds(command, folder, environment))
    torch = statistics.median(alone)
    found = {stage: {way: statistics.median(taken) for way, taken in each.items()} for stage, each in times.items()}
    print(
        f"torch alone: {torch:.2f} s (median of {rounds})\n\n| | fresh, s | × | forked, s | × |\n|---|--:|--:|--:|--:|"
    )
    for stage, each in found.items():
        print(f"| {stage} | {' | '.join(f'{taken:.2f} | {taken / torch:.2f}' for taken in each.values())} |")
    return {"torch": {"fresh": torch}} | found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
