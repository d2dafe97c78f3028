"""A user's own labelled table: CSV, TSV, JSON lines or Parquet."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from confidistill.errors import UserError
from confidistill.json_lines import objects
from confidistill.text.lines import decoded

PARQUET = ".parquet"


def read_table(path: Path, *, text: str, text_pair: str | None, label: str | None) -> pd.DataFrame:
    """Columns text, text_pair and label (as text, still) of the file's columns of the given names.

    CSV and TSV have a header, and quotes as in RFC 4180; a line of JSON lines is an object. The index counts the lines
    on which rows end, or a Parquet file's rows, from 1.

    Raises:
        UserError: the file is missing, empty, not UTF-8 or of an unknown kind, a row has too few or too many fields, a
            column is missing or asked for twice, a text or label is missing or has a NUL byte; line or row is named.
    """
    path = Path(path)
    wanted = {name: column for name, column in (("text", text), ("text_pair", text_pair), ("label", label)) if column}
    if len(set(wanted.values())) < len(wanted):
        raise UserError(f"{path}: {', '.join(wanted)} must be columns of their own, not {', '.join(wanted.values())}")
    table = _read(path)
    if not len(table):
        raise UserError(f"{path}: empty: it has no row")
    columns = {}
    for name, column in wanted.items():
        if column not in table:
            raise UserError(f"{path}: no column {column!r}: it has {', '.join(map(str, table.columns))}")
        values = table[column]
        empty = values.isna() | (values.astype(str).str.strip() == "")
        if empty.any():
            raise UserError(f"{_place(path, empty)}, column {column!r}: empty: fill it or remove the row")
        columns[name] = values.astype(str)
        nul = columns[name].str.contains("\0", regex=False)
        if nul.any():
            raise UserError(f"{_place(path, nul)}, column {column!r}: has a NUL byte: remove it, or the row")
    return pd.DataFrame(columns)


def rows_at_most(path: Path) -> int:
    """The lines of a table's file but for a header, or the rows of a Parquet file: no fewer than its rows.

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == PARQUET:
        return len(_read_parquet(path))
    with path.open("rb") as file:
        return sum(1 for _ in file) - (path.suffix != ".jsonl")


def check_classes(labels: pd.Series, path: Path) -> list[str]:
    """The classes of a training table, sorted; `labels` as `read_table` gives them.

    Raises:
        UserError: there is one class only, or one with a single row, which is as good as always a slip.
    """
    counts = labels.value_counts()
    if len(counts) < 2:
        raise UserError(f"{path}: a single class, {labels.iloc[0]!r}: a classifier needs at least two")
    if counts.min() < 2:
        row = labels == counts.idxmin()
        raise UserError(
            f"{_place(path, row)}: the only row of class {counts.idxmin()!r}: correct it, remove it or add rows"
        )
    return sorted(counts.index)


def encode_labels(table: pd.DataFrame, label_names: Sequence[str], path: Path) -> pd.DataFrame:
    """The table with its labels as ids in `label_names`, its rows numbered from 0.

    Raises:
        UserError: a label is none of `label_names`; line or row is named.
    """
    ids = {name: index for index, name in enumerate(label_names)}
    encoded = table["label"].map(ids)
    unknown = encoded.isna()
    if unknown.any():
        label = table["label"][unknown].iloc[0]
        raise UserError(f"{_place(path, unknown)}: unknown label {label!r}: the labels are {', '.join(label_names)}")
    return table.assign(label=encoded.astype("int64")).reset_index(drop=True)


def _place(path: Path, wrong: pd.Series) -> str:
    """File and line (or row) of the first that is wrong."""
    return f"{path}: {'row' if path.suffix == PARQUET else 'line'} {wrong.idxmax()}"


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": lambda path: _read_separated(path, ","),
        ".tsv": lambda path: _read_separated(path, "\t"),
        ".jsonl": _read_json_lines,
        PARQUET: _read_parquet,
    }
    if path.suffix not in readers:
        raise UserError(f"{path}: kind {path.suffix or 'unknown'!r} is not supported: use {', '.join(readers)}")
    return readers[path.suffix](path)


def _read_separated(path: Path, separator: str) -> pd.DataFrame:
    """Not pandas.read_csv, which fills the fields that a row lacks."""
    reader = csv.reader(decoded(path), delimiter=separator, strict=True)
    numbers, rows = [], []
    try:
        header = next(reader, [])
        repeated = [name for name in header if header.count(name) > 1]
        if repeated:
            raise UserError(f"{path}: line 1: column {repeated[0]!r} stands there twice: rename one")
        for row in reader:
            if not row:
                continue  # a blank line
            if len(row) != len(header):
                raise UserError(
                    f"{path}: line {reader.line_num}: {len(row)} fields, the header has {len(header)}: "
                    "quote a field that holds the separator"
                )
            numbers.append(reader.line_num)
            rows.append(row)
    except csv.Error as error:
        start = numbers[-1] + 1 if numbers else 1
        raise UserError(f"{path}: line {start}: {error}: check the quotes of the row that begins there") from None
    return pd.DataFrame(rows, columns=header, index=numbers, dtype=object)


def _read_json_lines(path: Path) -> pd.DataFrame:
    rows = dict(objects(path, decoded(path), '{"column": value, ...}'))
    return pd.DataFrame(list(rows.values()), index=list(rows), dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise UserError(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from None
    return table.set_axis(range(1, len(table) + 1))
