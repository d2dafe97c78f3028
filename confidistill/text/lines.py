"""Reading tab-separated text as found in the wild: BOM, CRLF, stray quotes; every bad line is named."""

from collections.abc import Iterator
from pathlib import Path

from confidistill.errors import UserError


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of each line that is not blank. Quotes are ordinary characters.

    Raises:
        UserError: no such file, nothing in it, or a line that is not UTF-8.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    empty = True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise UserError(f"{path}: line {number}: not UTF-8: convert the file to UTF-8") from None
            if text.strip():
                empty = False
                yield number, text.split("\t")
    if empty:
        raise UserError(f"{path}: empty: it has no line of text")


def check_fields(path: Path, number: int, fields: list[str], needed: int) -> None:
    """Raise a UserError that names file and line unless there are at least `needed` fields."""
    if len(fields) < needed:
        raise UserError(f"{path}: line {number}: {len(fields)} fields, needs {needed}: separate them with tabs")
