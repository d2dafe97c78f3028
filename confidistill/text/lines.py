"""Reading tab-separated text as found in the wild: BOM, CRLF, stray quotes; every bad line is named."""

import csv
from collections.abc import Iterator
from pathlib import Path

from confidistill.errors import UserError


def decoded(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file as they stand, less its byte order mark; UserError names one that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UserError(f"{path}: line {number}: not UTF-8: convert the file to UTF-8") from None


def rows(path: Path, *, quoted: bool = False) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of each row that is not blank.

    Quotes are ordinary characters and a row is a line, unless `quoted`: then they are CSV's, a field in quotes may hold
    line breaks, and the number is that of the row's last line.

    Raises:
        UserError: no such file, nothing in it, a line that is not UTF-8, quotes that are not CSV's.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    empty = True
    for number, fields in _quoted(path) if quoted else _plain(path):
        if any(field.strip() for field in fields):
            empty = False
            yield number, fields
    if empty:
        raise UserError(f"{path}: empty: it has no line of text")


def _plain(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(decoded(path), 1):
        yield number, line.rstrip("\r\n").split("\t")


def _quoted(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(decoded(path), delimiter="\t", strict=True)
    last = 0
    try:
        for fields in reader:
            last = reader.line_num
            yield last, fields
    except csv.Error as error:
        raise UserError(f"{path}: line {last + 1}: {error}: check the quotes of the row that begins there") from None


def check_fields(path: Path, number: int, fields: list[str], needed: int) -> None:
    """Raise a UserError that names file and line unless there are at least `needed` fields."""
    if len(fields) < needed:
        raise UserError(f"{path}: line {number}: {len(fields)} fields, needs {needed}: separate them with tabs")
