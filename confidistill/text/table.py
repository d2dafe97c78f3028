"""A user's own labelled table: CSV, TSV, JSON lines or Parquet."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from confidistill.errors import UserError


def read_table(path: Path, *, text: str, text_pair: str | None, label: str | None) -> pd.DataFrame:
    """Columns text, text_pair and label (as text, still) of the file's columns of the given names.

    Raises:
        UserError: the file is missing, empty, not UTF-8 or of an unknown kind, a row has too few or too many fields, a
            column is missing, a text or label is missing.
    """
    path = Path(path)
    table = _read(path)
    wanted = {"text": text, "text_pair": text_pair, "label": label}
    columns = {}
    for name, column in wanted.items():
        if column is None:
            continue
        if column not in table:
            raise UserError(f"{path}: no column {column!r}: it has {', '.join(map(str, table.columns))}")
        empty = table[column].isna().to_numpy().nonzero()[0]
        if len(empty):
            raise UserError(f"{path}: row {empty[0] + 1}, column {column!r}: empty: fill it or remove the row")
        columns[name] = table[column].astype(str)
    if not len(table):
        raise UserError(f"{path}: empty: it has no row")
    return pd.DataFrame(columns)


def encode_labels(table: pd.DataFrame, label_names: Sequence[str], path: Path) -> pd.DataFrame:
    """The table with its labels as ids in `label_names`.

    Raises:
        UserError: a label is none of `label_names`; the row is named.
    """
    ids = {name: index for index, name in enumerate(label_names)}
    encoded = table["label"].map(ids)
    unknown = encoded.isna().to_numpy().nonzero()[0]
    if len(unknown):
        row = unknown[0]
        raise UserError(
            f"{path}: row {row + 1}: unknown label {table['label'].iloc[row]!r}: "
            f"the labels are {', '.join(label_names)}"
        )
    return table.assign(label=encoded.astype("int64"))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(path, dtype=str, encoding="utf-8-sig", keep_default_na=False, na_values=[""]),
        ".tsv": lambda: pd.read_csv(
            path, sep="\t", dtype=str, encoding="utf-8-sig", keep_default_na=False, na_values=[""]
        ),
        ".jsonl": lambda: pd.read_json(path, lines=True, dtype=False),
        ".parquet": lambda: pd.read_parquet(path),
    }
    if path.suffix not in readers:
        raise UserError(f"{path}: kind {path.suffix or 'unknown'!r} is not supported: use {', '.join(readers)}")
    if not path.stat().st_size:
        raise UserError(f"{path}: empty: it has no row")
    try:
        return readers[path.suffix]()
    except UnicodeDecodeError:
        line = next(number for number, text in enumerate(path.read_bytes().split(b"\n"), 1) if not _is_utf8(text))
        raise UserError(f"{path}: line {line}: not UTF-8: convert the file to UTF-8") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        raise UserError(f"{path}: {str(error).strip().splitlines()[0]}") from None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
