"""Fetch, check and split one task's text; its transfer text, where it has some; its teacher, where one is given."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pandas as pd

from confidistill.errors import UserError, at_key
from confidistill.files import atomic_folder
from confidistill.sources.fetch import fetch
from confidistill.sources.pins import PathSource
from confidistill.teachers.given import adopt
from confidistill.text.dataset import prepare
from confidistill.text.transfer import read_transfer, unseen
from tasks.entry import stage
from tasks.none import note_none
from tasks.params import Params
from tasks.tables import TRANSFER, label_names, splits

T = TypeVar("T")


@stage
def main(params: Params, task: str) -> None:
    data, transfer = params.task(task).data, params.task(task).transfer
    raw, output = (Path("data") / kind / task for kind in ("raw", "transfer"))
    with TemporaryDirectory() as folder:
        _read(params, data.source, Path(folder) / "data", partial(prepare, data, output=raw, held_out=params.selection))
        # In folders of their own, so that other transfer text retrains no teacher.
        if transfer is None:
            note_none(output, f"tasks.{task}.transfer")
        else:
            text = _read(params, transfer.source, Path(folder) / "transfer", partial(read_transfer, transfer))
            parts = [pd.read_parquet(path) for path in sorted(raw.glob("*.parquet"))]
            text = unseen(text, parts, f"tasks.{task}.transfer")
            with atomic_folder(output) as written:
                text.to_parquet(written / TRANSFER, index=False)
            print(f"{task} transfer: {len(text)} rows without label")
        _adopt_teacher(params, task, Path(folder) / "teacher")


def _adopt_teacher(params: Params, task: str, folder: Path) -> None:
    """The teacher that models.teachers gives the task; a note where it gives none."""
    given, output = params.models.teachers.get(task), Path("models/given") / task
    if given is None:
        note_none(output, f"models.teachers.{task}")
        return
    tables = {split: pd.read_parquet(f"data/raw/{task}/{split}.parquet") for split in splits(task)}
    if (transfer := Path("data/transfer") / task / TRANSFER).exists():
        tables["transfer"] = pd.read_parquet(transfer)
    use = partial(adopt, given, output=output, label_names=label_names(task), tables=tables)
    with at_key(f"models.teachers.{task}"):
        _read(params, given.source, folder, use)


def _read(params: Params, name: str, folder: Path, use: Callable[[Path], T]) -> T:
    """What `use` makes of the fetched source; its errors are of the user's own file, not of the copy."""
    source = params.sources[name]
    fetched = fetch(source, folder)
    try:
        return use(fetched)
    except UserError as error:
        shown = source.path if isinstance(source, PathSource) else name
        raise UserError(str(error).replace(str(fetched), shown)) from None


if __name__ == "__main__":
    main()
