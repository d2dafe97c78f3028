"""A folder for what params.yaml names none of: DVC expects an output of every stage."""

from pathlib import Path

from confidistill.files import atomic_folder

NONE = "NONE"


def note_none(output: Path, key: str) -> None:
    """Write the folder `output` with a note that `key` names nothing."""
    with atomic_folder(output) as folder:
        (folder / NONE).write_text(f"{key} is null\n")


def is_none(folder: Path) -> bool:
    """Whether the folder has that note."""
    return (folder / NONE).exists()
