"""How far a training stage is, read from its newest checkpoint: off a terminal the stage itself says nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKPOINTS = Path(".checkpoints")
EVERY = 5.0  # seconds between two looks


def newest(name: str, folder: Path = CHECKPOINTS) -> str | None:
    """`step 150 of 188, loss 0.41` of the stage's last whole checkpoint; None where it has none."""
    stage, _, item = name.partition("@")
    found: tuple[int, str] | None = None
    for state_file in (folder / stage).glob("**/checkpoint-*/trainer_state.json"):
        if "-".join(state_file.relative_to(folder / stage).parts[:-2]) != item:
            continue
        try:
            state = json.loads(state_file.read_text())
        except (OSError, json.JSONDecodeError):
            continue  # being written, or just removed
        losses = [row["loss"] for row in state["log_history"] if "loss" in row]
        loss = f", loss {losses[-1]:.4g}" if losses else ""
        step = int(state["global_step"])
        found = max(found or (0, ""), (step, f"step {step} of {state['max_steps']}{loss}"))
    return found[1] if found else None


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
