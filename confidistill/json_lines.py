"""Rows of JSON lines, one object a line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from confidistill.errors import UserError


def objects(path: Path, lines: Iterable[str], example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each line that is not blank; `path` and `example` are for errors.

    Raises:
        UserError: a line is no JSON, or no object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number}: not JSON: {error.msg}") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number}: not a JSON object: write {example}")
        yield number, row
