"""Tables of Arrow's kind: a Parquet file, or a folder that `datasets` wrote with `save_to_disk`. pyarrow reads both."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from confidistill.errors import UserError, installed_by

BATCH = 2**16  # rows


def names(path: Path) -> list[str]:
    """The names of its columns.

    Raises:
        UserError: it is no such file or folder, or pyarrow is not installed.
    """
    pyarrow = _pyarrow(path)
    if not path.is_dir():
        with _told(path, pyarrow):
            return list(pyarrow.parquet.read_schema(path).names)
    file = _files(path)[0]
    with _told(file, pyarrow), pyarrow.memory_map(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
        return list(stream.schema.names)


def batches(path: Path, columns: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    """These columns, in batches of some size.

    Raises:
        UserError: it cannot be read.
    """
    pyarrow = _pyarrow(path)
    if not path.is_dir():
        with _told(path, pyarrow), pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=rows or BATCH, columns=columns):
                yield batch.to_pandas()
        return
    for name in _files(path):
        with _told(name, pyarrow), pyarrow.memory_map(str(name)) as source, pyarrow.ipc.open_stream(source) as stream:
            for batch in stream:
                yield batch.select(columns).to_pandas()


def _files(folder: Path) -> list[Path]:
    """The files of a saved data set, in the order of its rows."""
    if (folder / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(str(path.parent) for path in folder.glob("*/state.json")))
        raise UserError(f"{folder}: several splits: name one of them: {splits}")
    state = folder / "state.json"
    if not state.is_file():
        raise UserError(f"{folder}: not a regular file, nor a folder that `datasets` saved, which has a state.json")
    try:
        files = [folder / Path(entry["filename"]).name for entry in json.loads(state.read_text("utf-8"))["_data_files"]]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{state}: not what `datasets` writes: save the data set again with save_to_disk") from None
    if not files:
        raise UserError(f"{state}: it names no file")
    return files


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ModuleNotFoundError:
        kind = "a folder of `datasets`" if path.is_dir() else "Parquet"
        raise UserError(f"{path}: {kind} needs pyarrow: `pip install {installed_by('pyarrow')}`, or give CSV") from None
    return pyarrow


@contextmanager
def _told(path: Path, pyarrow: Any) -> Iterator[None]:
    """Arrow's errors, in one line; some of them are OSErrors."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        what = "a part of a saved data set" if path.suffix == ".arrow" else "a Parquet file"
        raise UserError(f"{path}: not {what}: {str(error).splitlines()[0]}") from None
