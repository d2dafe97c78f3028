"""What a student imitates of its teacher, and a file of it."""

from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import NamedTuple
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from confidistill.distillation.data import Batch


class Target(NamedTuple):
    """Features of some of the teacher's layers. B: batch, T: tokens, h: heads, H: hidden size."""

    hidden_states: Mapping[int, Tensor]  # of (B, T, H); 0 is the embedding output
    scores: Mapping[int, Tensor]  # of (B, h, T, T)


class FeatureFile:
    """Features of rows of text, without their padding, in a temporary file without a name (as `TokenFile`).

    They are in the number format that autocast computes in where it is on, and given back as they were computed, with 0
    at padding.
    """

    def __init__(self, like: Target, rows: int) -> None:
        """`like`: any of the features that will be written; `rows`: how many rows the text has."""
        self._hidden = {layer: (tensor.shape[2], tensor.dtype) for layer, tensor in like.hidden_states.items()}
        self._scores = {layer: (tensor.shape[1], tensor.dtype) for layer, tensor in like.scores.items()}
        half = torch.is_autocast_enabled("cpu")
        self._stored = torch.get_autocast_dtype("cpu") if half else torch.float32
        self._starts = np.zeros(rows, np.int64)
        self._file = TemporaryFile()  # noqa: SIM115
        finalize(self, self._file.close)

    def size(self, lengths: np.ndarray) -> int:
        """Bytes of rows of so many tokens, (N,)."""
        hidden, heads = (sum(each for each, _ in sizes.values()) for sizes in (self._hidden, self._scores))
        lengths = lengths.astype(np.int64)
        return self._stored.itemsize * int((lengths * hidden + lengths**2 * heads).sum())

    def write(self, batch: Batch, target: Target) -> None:
        """Append the features of the batch's `rows`."""
        for place, (row, tokens) in enumerate(_lengths(batch)):
            hidden = [tensor[place, :tokens].flatten() for tensor in target.hidden_states.values()]
            scores = [tensor[place, :, :tokens, :tokens].flatten() for tensor in target.scores.values()]
            self._starts[row] = self._file.tell()
            self._file.write(torch.cat(hidden + scores).to(self._stored).view(torch.uint8).numpy().data)

    def read(self, batch: Batch) -> Target:
        """The features of the batch's `rows`."""
        rows, tokens = batch["attention_mask"].shape
        hidden = {i: torch.zeros(rows, tokens, width, dtype=dtype) for i, (width, dtype) in self._hidden.items()}
        scores = {i: torch.zeros(rows, h, tokens, tokens, dtype=dtype) for i, (h, dtype) in self._scores.items()}
        for place, (row, real) in enumerate(_lengths(batch)):
            parts = [tensor[place, :real] for tensor in hidden.values()]
            parts += [tensor[place, :, :real, :real] for tensor in scores.values()]
            sizes = [part.numel() for part in parts]
            for part, found in zip(parts, self._values(row, sum(sizes)).split(sizes), strict=True):
                part.copy_(found.view(part.shape))
        return Target(hidden, scores)

    def _values(self, row: int, count: int) -> Tensor:
        values = torch.empty(count, dtype=self._stored)
        self._file.seek(self._starts[row])
        self._file.readinto(values.view(torch.uint8).numpy().data)
        return values


def _lengths(batch: Batch) -> list[tuple[int, int]]:
    """Row and tokens of each example."""
    return list(zip(batch["rows"].tolist(), batch["attention_mask"].sum(1).tolist(), strict=True))
