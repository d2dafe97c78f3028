"""Which checkpoints belong to a run, and which of them is whole."""

import shutil
from pathlib import Path

from confidistill.files import atomic_file

COMPLETE = "complete"  # a file in a checkpoint that was written to its end


def discard_other_runs(checkpoints: Path, digest: str) -> None:
    """Empty the folder unless its checkpoints are of the run that `digest` identifies."""
    mark = checkpoints / "inputs.sha256"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(checkpoints, ignore_errors=True)
        with atomic_file(mark) as path:
            path.write_text(digest)


def last_checkpoint(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    complete = [path.parent for path in checkpoints.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None
