"""Measure `confidistill check` on two files of a million rows: seconds of wall time and peak resident memory.

python -m bench.check [ROWS] [CLASSES]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.confidence.predictions import softmax

COMMAND = [sys.executable, "-m", "confidistill.cli", "check"]


def write_pair(folder: Path, rows: int, classes: int, suffix: str) -> tuple[Path, Path]:
    """A teacher's and a noisier student's predictions of the same random examples, in the released layout."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes)) + 3 * np.eye(classes)[labels]
    paths = folder / f"teacher{suffix}", folder / f"student{suffix}"
    for path, noise in zip(paths, (0.0, 0.5), strict=True):
        probabilities = softmax(logits + noise * random.normal(size=logits.shape))
        columns = {f"p{index}": probabilities[:, index] for index in range(classes)}
        table = pd.DataFrame({"pred": probabilities.argmax(axis=1), **columns, "label": labels})
        table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path, index=False)
    return paths


def measure_process(command: list[str]) -> tuple[int, float, float]:
    """Exit code, wall seconds and peak resident MiB of a whole process, its start and its imports included."""
    start = time.perf_counter()
    process = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss / 1024


def main(rows: int = 1_000_000, classes: int = 2) -> None:
    """Print one line a file format; the first run warms the file cache and is measured like the others."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".parquet"):
            paths = write_pair(Path(folder), rows, classes, suffix)
            size = sum(path.stat().st_size for path in paths) / 2**20
            for _ in range(3):
                code, seconds, memory = measure_process([*COMMAND, *map(str, paths)])
                print(
                    f"{suffix[1:]:>8}: {rows:,} rows x 2 files, {classes} classes, {size:.0f} MiB: "
                    f"{seconds:.2f} s, peak {memory:.0f} MiB, exit {code}"
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
