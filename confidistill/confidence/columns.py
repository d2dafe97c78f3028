"""Columns of a table in a file: what can be read, is; what cannot, is told with file, row and column."""

import codecs
import csv
import gzip
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np
import pandas as pd

from confidistill.errors import UserError, installed_by
from confidistill.json_lines import objects

LONGEST_HEADER = 2**20  # characters
PARQUET, LINES = ".parquet", ".jsonl"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_columns(path: Path, wanted: str) -> pd.DataFrame:
    """The columns whose whole names match the pattern `wanted`, as they stand in the file, rows from 0.

    Raises:
        UserError: no such file, not a table, two wanted columns of one name, a row with too few or too many fields.
    """
    if not path.is_file():
        raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    kind = _kind(path)
    if kind == LINES:
        return _read_lines(path).filter(regex=f"^({wanted})$")
    names = [name for name in column_names(path) if re.fullmatch(wanted, name)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path}: two columns are named {twice!r}: remove one")
    return _read_parquet(path, names) if kind == PARQUET else _read_separated(path, names)


def column_names(path: Path) -> list[str]:
    """The names in a file's header."""
    if _kind(path) == PARQUET:
        return _parquet_names(path)
    if _kind(path) == LINES:
        return [str(name) for name in _read_lines(path)]
    with _opened(path) as file:
        return [name.strip() for name in next(csv.reader([file.readline(LONGEST_HEADER)], delimiter=_comma(path)), [])]


def shown_names(path: Path) -> str:
    """The names in a file's header, for a message: one short line of characters that can be printed."""
    names = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(column_names(path)))
    return textwrap.shorten(names, 200, placeholder=" ...") or "none"


def refuse_value(path: Path, column: pd.Series, hint: str = "") -> NoReturn:
    """Name the first value of a column that is not a finite number."""
    for row, value in enumerate(column, 1):
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
    """The suffix that says what the file is, .gz left out."""
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


def _read_separated(path: Path, names: list[str]) -> pd.DataFrame:
    header = column_names(path)
    if not names:
        return pd.DataFrame()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # every row is too long
            # All columns, since pandas forgives rows that are too long where it reads some.
            table = pd.read_csv(
                path,
                sep=_comma(path),
                header=0,
                names=[str(index) for index in range(len(header))],
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=[""],
                encoding=_encoding(path),
                encoding_errors="replace",
            )
    except (gzip.BadGzipFile, EOFError):
        raise UserError(f"{path}: not a gzip file, or a part of one") from None
    except (ValueError, pd.errors.ParserWarning) as error:
        if "Calling read" in str(error) and path.suffix != ".gz":
            raise KeyboardInterrupt from None  # pandas makes one that comes while it reads an error of its own
        _check_fields(path, header)
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    table = table[[str(header.index(name)) for name in names]].set_axis(names, axis=1)
    if table.isna().to_numpy().any():
        _check_fields(path, header)
    return table


def _check_fields(path: Path, header: list[str]) -> None:
    """Read again, slowly, to name the first row whose number of fields is wrong."""
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=_comma(path), skipinitialspace=True)
        filled = (row for row in reader if row)
        next(filled, None)
        for number, row in enumerate(filled, 1):
            if len(row) != len(header):
                raise UserError(f"{path}: row {number}: {len(row)} fields, not {len(header)}")


def _read_lines(path: Path) -> pd.DataFrame:
    with _opened(path) as file:
        return pd.DataFrame([row for _, row in objects(path, file, '{"p0": 0.9, "p1": 0.1, ...}')])


def _read_parquet(path: Path, names: list[str]) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=names)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None


def _parquet_names(path: Path) -> list[str]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: Parquet needs pyarrow: `pip install {installed_by('pyarrow')}`, or give CSV"
        ) from None
    try:
        return list(parquet.read_schema(path).names)
    except (ValueError, OSError):
        raise UserError(f"{path}: not a Parquet file") from None
