"""Columns of a table in a file: what can be read, is; what cannot, is told with file, row and column."""

import codecs
import csv
import gzip
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np
import pandas as pd

from confidistill.confidence import arrow
from confidistill.errors import UserError
from confidistill.json_lines import objects

LONGEST_HEADER = 2**20  # characters
PARQUET, LINES, FOLDER = ".parquet", ".jsonl", "/"
ARROW = (PARQUET, FOLDER)
LINE = '{"p0": 0.9, "p1": 0.1, ...}'
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_batches(path: Path, wanted: str, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """The columns whose whole names match the pattern `wanted`, as they stand in the file, `rows` at a time.

    The index counts the file's rows from 0. There is at least one batch, perhaps of no row, all have the columns of
    the first, and `rows` of None is all. A folder is one that `datasets` saved (`save_to_disk`).

    Raises:
        UserError: no such file, not a table, two wanted columns of one name, a row with too few or too many fields.
    """
    kind = _kind(path)
    if kind == LINES:
        batches = _line_batches(path, wanted, rows)
    else:
        names = [name for name in column_names(path) if re.fullmatch(wanted, name)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UserError(f"{path}: two columns are named {twice!r}: remove one")
        batches = _arrow_batches(path, names, rows) if kind in ARROW else _separated_batches(path, names, rows)
    start, columns = 0, None
    for batch in batches:
        columns = batch.columns if columns is None else columns
        if len(new := batch.columns.difference(columns)):
            raise UserError(f"{path}: row {start + 1}: column {new[0]!r} is not in the rows before it")
        yield batch.reindex(columns=columns).set_axis(range(start, start + len(batch)))
        start += len(batch)


def column_names(path: Path) -> list[str]:
    """The names in a file's header; of JSON lines, those of the first row."""
    kind = _kind(path)
    if kind in ARROW:
        return arrow.names(path)
    with _opened(path) as file:
        if kind == LINES:
            return [str(name) for _, row in islice(objects(path, file, LINE), 1) for name in row]
        return [name.strip() for name in next(csv.reader([file.readline(LONGEST_HEADER)], delimiter=_comma(path)), [])]


def shown_names(path: Path) -> str:
    """The names in a file's header, for a message: one short line of characters that can be printed."""
    names = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(column_names(path)))
    return textwrap.shorten(names, 200, placeholder=" ...") or "none"


def refuse_value(path: Path, column: pd.Series, hint: str = "") -> NoReturn:
    """Name the first value of a column that is not a finite number."""
    for row, value in enumerate(column, column.index[0] + 1):
        place = f"{path}: row {row}, column {column.name!r}"
        if pd.isna(value):
            raise UserError(f"{place}: empty or nan: give a finite number")
        try:
            if np.isfinite(float(value)):
                continue
        except (TypeError, ValueError):
            raise UserError(f"{place}: {_shown(value)} is not a number{hint}") from None
        raise UserError(f"{place}: {_shown(value)} is not a finite number")
    raise UserError(f"{path}: column {column.name!r} is of type {column.dtype}: store it as numbers")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) < 40 else f"{text[:40]}..."


def _kind(path: Path) -> str:
    """What the file is: its suffix, .gz left out, or FOLDER.

    Raises:
        UserError: there is no such file.
    """
    if path.is_dir():
        return FOLDER
    if not path.is_file():
        raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _comma(path: Path) -> str:
    return "\t" if _kind(path) == ".tsv" else ","


def _start(path: Path, size: int = 4096) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(size)
    except (gzip.BadGzipFile, EOFError):
        raise UserError(f"{path}: not a gzip file, or a part of one") from None


def _encoding(path: Path) -> str:
    """utf-8-sig, or utf-16 where a byte order mark says so.

    Raises:
        UserError: the bytes are no text.
    """
    start = _start(path)
    if start.startswith(UTF16):
        return "utf-16"
    if start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"PAR1")) or b"\0" in start:
        raise UserError(f"{path}: not text: give CSV, .tsv or .jsonl, each perhaps .gz, or .parquet")
    return "utf-8-sig"


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file as text, newlines as they are; what is cut off or not in its encoding is told in one line."""
    encoding = _encoding(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding=encoding, errors="replace", newline="") as file:
                yield file
        else:
            with path.open(encoding=encoding, errors="replace", newline="") as file:
                yield file
    except (gzip.BadGzipFile, EOFError):
        raise UserError(f"{path}: not a gzip file, or a part of one") from None


def _separated_batches(path: Path, names: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    header = column_names(path)
    if not names:
        yield pd.DataFrame()
        return
    found = False
    try:
        # All columns, since pandas forgives rows that are too long where it reads some.
        with pd.read_csv(
            path,
            chunksize=rows or sys.maxsize,
            sep=_comma(path),
            header=0,
            names=[str(index) for index in range(len(header))],
            index_col=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=[""],
            encoding=_encoding(path),
            encoding_errors="replace",
        ) as tables:
            while (table := _next(tables)) is not None:
                found = True
                batch = table[[str(header.index(name)) for name in names]].set_axis(names, axis=1)
                if batch.isna().to_numpy().any():
                    _check_fields(path, header)
                yield batch
    except (gzip.BadGzipFile, EOFError):
        raise UserError(f"{path}: not a gzip file, or a part of one") from None
    except (ValueError, pd.errors.ParserWarning) as error:
        if "Calling read" in str(error) and path.suffix != ".gz":
            raise KeyboardInterrupt from None  # pandas makes one that comes while it reads an error of its own
        _check_fields(path, header)
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    if not found:
        yield pd.DataFrame(columns=names)


def _next(tables: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # every row is too long
        return next(tables, None)


def _check_fields(path: Path, header: list[str]) -> None:
    """Read again, slowly, to name the first row whose number of fields is wrong."""
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=_comma(path), skipinitialspace=True)
        filled = (row for row in reader if row)
        next(filled, None)
        for number, row in enumerate(filled, 1):
            if len(row) != len(header):
                raise UserError(f"{path}: row {number}: {len(row)} fields, not {len(header)}")


def _line_batches(path: Path, wanted: str, rows: int | None) -> Iterator[pd.DataFrame]:
    with _opened(path) as file:
        found = (
            {str(name): value for name, value in row.items() if re.fullmatch(wanted, str(name))}
            for _, row in objects(path, file, LINE)
        )
        yield pd.DataFrame(list(islice(found, rows)))
        while rows and (batch := list(islice(found, rows))):
            yield pd.DataFrame(batch)


def _arrow_batches(path: Path, names: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    """Batches as Arrow has them, cut and joined to `rows` each, so that two files' batches are of the same rows."""
    waiting: list[pd.DataFrame] = []
    for batch in arrow.batches(path, names, rows):
        waiting.append(batch)
        if rows and sum(map(len, waiting)) >= rows:
            joined = pd.concat(waiting, ignore_index=True)
            whole = len(joined) // rows * rows
            yield from (joined.iloc[start : start + rows] for start in range(0, whole, rows))
            waiting = [joined.iloc[whole:]]
    yield pd.concat(waiting, ignore_index=True) if waiting else pd.DataFrame(columns=names)
