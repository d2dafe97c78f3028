"""What identifies the inputs of a training run, so that only a run of the same inputs is resumed."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.files import sha256


def identity(*inputs: object) -> str:
    """sha256 over folders (their files' bytes), tables, arrays and plain values."""
    digest = hashlib.sha256()
    for value in inputs:
        digest.update(_bytes(value))
        digest.update(b"\0")
    return digest.hexdigest()


def _bytes(value: object) -> bytes:
    if isinstance(value, Path):
        files = [value] if value.is_file() else sorted(path for path in value.rglob("*") if path.is_file())
        return " ".join(f"{path.name}:{sha256(path)}" for path in files).encode()
    if isinstance(value, pd.DataFrame):
        rows = pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes()
        return repr(list(value.columns)).encode() + rows
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return repr(value).encode()
