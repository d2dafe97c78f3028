"""What params.yaml names, fetched into the output of a stage; what it names none of, a note there."""

from collections.abc import Sequence
from pathlib import Path

from confidistill.sources.fetch import fetch_folder
from tasks.none import note_none
from tasks.params import Params


def fetch_named(
    params: Params, source: str | None, output: Path, *, key: str, files: Sequence[str] | None = None
) -> None:
    """The files of the source called `source` (None: a note) into the folder `output`; `key` is what names it."""
    if source:
        fetch_folder(params.sources[source], output, files=files)
    else:
        note_none(output, key)
