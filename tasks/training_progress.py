"""How far a training stage is, read from its newest checkpoint: off a terminal the stage itself says nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKPOINTS = Path(".checkpoints")
EVERY = 5.0  # seconds between two looks

Stops = Callable[[list[float]], bool]
"""Given sigma(Tr) after each epoch so far: whether the training is given up."""


class SigmasOfNow:
    """Sigma(Tr) after each epoch of the training that a stage begins, or goes on with, from now on.

    What an earlier training of other settings has left there is not counted.
    """

    def __init__(self, name: str, folder: Path = CHECKPOINTS) -> None:
        self._name, self._folder = name, folder
        self._left = {path: path.stat().st_mtime_ns for path in self._files()}

    def __call__(self) -> list[float]:
        for path in self._files():
            with suppress(FileNotFoundError):  # just removed
                if path.stat().st_mtime_ns != self._left.get(path):
                    return sigmas(path)
        return []

    def _files(self) -> Iterator[Path]:
        return _files_of(self._name, "best.json", self._folder)


def sigmas(history: Path) -> list[float]:
    """Sigma(Tr) after each epoch, by a training's best.json or history.json; none where it does not measure it.

    Raises:
        FileNotFoundError: it is not there.
    """
    return [row["sigma"] for row in json.loads(history.read_text()) if "sigma" in row]


def newest(name: str, folder: Path = CHECKPOINTS) -> str | None:
    """`step 150 of 188, loss 0.41` of the stage's last whole checkpoint; None where it has none."""
    found: tuple[int, str] | None = None
    for state_file in _files_of(name, "checkpoint-*/trainer_state.json", folder):
        try:
            state = json.loads(state_file.read_text())
        except (OSError, json.JSONDecodeError):
            continue  # being written, or just removed
        losses = [row["loss"] for row in state["log_history"] if "loss" in row]
        loss = f", loss {losses[-1]:.4g}" if losses else ""
        step = int(state["global_step"])
        found = max(found or (0, ""), (step, f"step {step} of {state['max_steps']}{loss}"))
    return found[1] if found else None


def _files_of(name: str, pattern: str, folder: Path) -> Iterator[Path]:
    """Files in the folder of a stage's checkpoints, whose parts are what dvc.yaml puts after the @."""
    stage, _, item = name.partition("@")
    for path in (folder / stage).glob(f"**/{pattern}"):
        if "-".join(path.relative_to(folder / stage).parts[: -len(Path(pattern).parts)]) == item:
            yield path


@contextmanager
def told(name: str, log: Callable[[str], object]) -> Iterator[None]:
    """Log a line for each new checkpoint of the stage while the block runs."""
    over = threading.Event()
    last = newest(name)

    def look() -> None:
        nonlocal last
        while not over.wait(EVERY):
            if (line := newest(name)) and line != last:
                last = line
                log(line)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
