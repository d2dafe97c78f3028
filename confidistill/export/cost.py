"""What a classifier costs where it is deployed: bytes on disk, and time of one thread of the processor."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.classifiers import onnx_path
from confidistill.classifiers.huggingface import HuggingFaceClassifier
from confidistill.classifiers.onnx_file import OnnxClassifier
from confidistill.threads import one_thread

BATCH = 32
ROUNDS = 3
Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Cost:
    """Of the model alone: tokenisation is not in it."""

    bytes: int
    """Of its weights, or of its ONNX file."""
    p50_ms: float
    """Of one text's latency: the median."""
    p99_ms: float
    texts_per_second: float
    """In batches of 32, padded to their longest."""


def costs(folders: Mapping[str, Path], table: pd.DataFrame, *, max_length: int) -> dict[str, Cost]:
    """Each classifier on the rows of `table`, on one thread; by name.

    They are measured in turn, several times over, so that a slow moment of the machine falls on all alike; each by
    itself for a while, as it would be served. A time is that of the thread, so that waiting for others is not in it.

    Raises:
        UserError: a folder holds no classifier, or the table no text.
    """
    rows = [table.iloc[[row]] for row in range(len(table))]
    batches = [table.iloc[start : start + BATCH] for start in range(0, len(table), BATCH)]
    with one_thread():
        models = {name: _opened(folder, max_length) for name, folder in folders.items()}
        alone = {name: [model.batch(row) for row in rows] for name, model in models.items()}
        together = {name: [model.batch(batch) for batch in batches] for name, model in models.items()}
        latencies: dict[str, list[float]] = {name: [] for name in folders}
        seconds: dict[str, list[float]] = {name: [] for name in folders}
        for _ in range(ROUNDS):
            for name in folders:
                _timed([*alone[name][:3], together[name][0]])  # to warm up
                latencies[name] += _timed(alone[name])
                seconds[name].append(sum(_timed(together[name])))
    return {
        name: Cost(
            _bytes(folder),
            1000 * float(np.median(latencies[name])),
            1000 * float(np.quantile(latencies[name], 0.99)),
            len(table) / float(np.median(seconds[name])),
        )
        for name, folder in folders.items()
    }


def _opened(folder: Path, max_length: int) -> HuggingFaceClassifier | OnnxClassifier:
    if graph := onnx_path(folder):
        return OnnxClassifier(graph, max_length=max_length, threads=1)
    classifier = HuggingFaceClassifier(folder, max_length=max_length)
    classifier.model.cpu()
    return classifier


def _timed(runs: list[Run]) -> list[float]:
    """The seconds that the processor worked on each: what else it did meanwhile is not in them."""
    seconds = []
    for run in runs:
        started = time.thread_time()
        run()
        seconds.append(time.thread_time() - started)
    return seconds


def _bytes(folder: Path) -> int:
    graph = onnx_path(folder)
    files = [graph] if graph else folder.glob("*.safetensors")
    return sum(path.stat().st_size for path in files)
