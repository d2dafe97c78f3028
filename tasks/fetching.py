"""What params.yaml names, fetched into the output of a stage; what it names none of, a note there."""

from collections.abc import Sequence
from pathlib import Path

from confidistill.files import atomic_folder
from confidistill.sources.fetch import fetch_folder
from tasks.params import Params


def fetch_named(
    params: Params, source: str | None, output: Path, *, key: str, files: Sequence[str] | None = None
) -> None:
    """The files of the source called `source` (None: a note) into the folder `output`; `key` is what names it."""
    if source:
        fetch_folder(params.sources[source], output, files=files)
    else:
        note_none(output, key)


def note_none(output: Path, key: str) -> None:
    """A folder with a note: DVC expects an output of every stage."""
    with atomic_folder(output) as folder:
        (folder / "NONE").write_text(f"{key} is null\n")
