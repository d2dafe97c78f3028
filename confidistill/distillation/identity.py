"""What identifies the inputs of a training run, so that only a run of the same inputs is resumed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.files import sha256
from confidistill.text.rows import in_parts

HASHED_TOGETHER = 1_000  # rows; pandas makes a Python object of every text that it hashes


def identity(*inputs: object) -> str:
    """sha256 over folders (their files' bytes), tables, arrays and plain values."""
    digest = hashlib.sha256()
    for value in inputs:
        for part in _bytes(value):
            digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()


def _bytes(value: object) -> Iterator[bytes]:
    if isinstance(value, Path):
        files = [value] if value.is_file() else sorted(path for path in value.rglob("*") if path.is_file())
        yield " ".join(f"{path.name}:{sha256(path)}" for path in files).encode()
    elif isinstance(value, pd.DataFrame):
        yield repr(list(value.columns)).encode()
        for rows in in_parts(value, HASHED_TOGETHER):
            yield pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield value.tobytes()
    else:
        yield repr(value).encode()
