"""Whether a run came to the committed results again."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.committed import committed
from tasks.lock import stages_in

# Of sigma and of accuracies, which processors that round otherwise may move. (SSE4 in place of AVX-512, 600 rows of
# `movies` in fp32: 3e-9; rounding grows with the steps, and in bf16.)
TOLERANCE = 0.01
CODE = ("confidistill/", "tasks/", "params.yaml")


def compare(committed_lock: str, current: str) -> None:
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
    if other := sorted({reason for _, was, now in pairs for reason in _otherwise(was, now)}):
        print(f"{told}, as {' and '.join(other)}, here: {within})")
    else:
        same = "same results" if moved <= TOLERANCE else "OTHER RESULTS"
        print(f"{told}, {same}: {within}; tolerated: {TOLERANCE})")


def _recipe(entry: dict[str, Any]) -> tuple[Any, ...]:
    """A stage's command, parameters and code: what it is, whatever its inputs' bytes are."""
    code = [dep for dep in entry.get("deps", []) if dep["path"].startswith(CODE)]
    return entry["cmd"], entry.get("params"), code


def _otherwise(was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What a student was trained in that the committed one was not: sums are rounded otherwise, step by step."""
    if was["precision"] != now["precision"]:
        yield f"precision auto is {now['precision']}, not {was['precision']}"
    if was.get("threads") != now.get("threads"):
        yield f"training takes {_taken(now)}, not {_taken(was)}"


def _taken(trained_in: dict[str, Any]) -> str:
    threads = trained_in.get("threads")
    return "a GPU" if threads is None else "1 thread" if threads == 1 else f"{threads} threads"


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
