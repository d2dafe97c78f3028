"""Tokenised text on disk, so that memory does not grow with it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from tempfile import TemporaryFile
from weakref import finalize

import numpy as np

TOKEN = np.dtype([("input_ids", np.int32), ("token_type_ids", np.int8)])
READ_TOGETHER = 2**18  # tokens


class TokenFile:
    """Rows of tokens, end to end in a temporary file without a name, which goes with this object or its process.

    They are read, not mapped: a page that is mapped counts as the process's memory once it was touched.
    """

    def __init__(self, encodings: Iterable[Mapping[str, Sequence[Sequence[int]]]]) -> None:
        """`encodings`: `input_ids` and `token_type_ids` of some rows at a time, as a tokenizer gives them."""
        self._file = TemporaryFile()  # noqa: SIM115
        finalize(self, self._file.close)
        lengths = []
        for encoding in encodings:
            lengths.append(np.array([len(ids) for ids in encoding["input_ids"]]))
            tokens = np.empty(lengths[-1].sum(), TOKEN)
            for name in ("input_ids", "token_type_ids"):
                tokens[name] = np.fromiter(chain.from_iterable(encoding[name]), TOKEN[name])
            self._file.write(tokens.data)
        self._file.flush()
        self.lengths = np.concatenate(lengths)  # (N,)
        self._ends = self.lengths.cumsum()

    def __getitem__(self, index: int) -> np.ndarray:
        """The tokens of a row: (T,) of `TOKEN`, not to be written to."""
        return self._read(self._ends[index] - self.lengths[index], self.lengths[index])

    def in_order(self) -> Iterator[np.ndarray]:
        """The tokens of all rows, `READ_TOGETHER` at a time."""
        for start in range(0, self._ends[-1], READ_TOGETHER):
            yield self._read(start, READ_TOGETHER)

    def _read(self, start: int, tokens: int) -> np.ndarray:
        size = TOKEN.itemsize
        return np.frombuffer(os.pread(self._file.fileno(), tokens * size, start * size), TOKEN)
