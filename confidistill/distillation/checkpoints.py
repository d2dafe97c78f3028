"""Which checkpoints belong to a run, and which of them is whole."""

import shutil
from pathlib import Path

from confidistill.files import atomic_file

COMPLETE = "complete"  # a file in a checkpoint that was written to its end; it holds the micro-batch size, if any
PRECISION = "precision"  # a file beside the checkpoints: what the run's precision came to where it began


def discard_other_runs(checkpoints: Path, digest: str) -> None:
    """Empty the folder unless its checkpoints are of the run that `digest` identifies."""
    mark = checkpoints / "inputs.sha256"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(checkpoints, ignore_errors=True)
        with atomic_file(mark) as path:
            path.write_text(digest)


def last_checkpoint(checkpoints: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    complete = [path.parent for path in checkpoints.glob(f"checkpoint-*/{COMPLETE}")]
    return max(complete, key=step_of) if complete else None


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.split("-")[1])


def mark_complete(checkpoint: Path, micro_batch: int | None) -> None:
    """Say that the checkpoint is whole, and how large the parts are that its run takes a step in."""
    with atomic_file(checkpoint / COMPLETE) as path:
        path.write_text(str(micro_batch or ""))


def micro_batch_of(checkpoint: Path) -> int | None:
    """The size of the parts that the run of a complete checkpoint takes a step in; None: one part."""
    return int((checkpoint / COMPLETE).read_text() or 0) or None
