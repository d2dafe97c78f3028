"""Writing without leaving anything half-written, and hashing."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))  # whose links may lead to files


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it is renamed to `path` only if the block succeeds.

    What is there and is no file (a folder, a terminal, a pipe), and a stream such as /dev/stdout, is yielded itself: it
    must be written to, never replaced.
    """
    path = Path(path)
    if (path.exists() and not path.is_file()) or path.absolute().parent in STREAMS:
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def json_text(value: Any) -> str:
    """JSON, two spaces a level; an undefined number (NaN), for which JSON has no word, is null."""

    def defined(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {key: defined(inner) for key, inner in part.items()}
        return None if isinstance(part, float) and math.isnan(part) else part

    return json.dumps(defined(value), indent=2, allow_nan=False) + "\n"


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
