"""Which of a sentence's variants an epoch learns from."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

Rows = Callable[[int], npt.NDArray[np.intp]]
"""The rows of an epoch, counted from 0: as many in each."""


def fresh(table: pd.DataFrame, variants: int | None, seed: int) -> Rows | None:
    """In each epoch every sentence and `variants` of its variants, others each time; None: all rows in each epoch.

    Each sentence's variants are gone through in an order of its own, drawn by `seed`, and then again from the first: no
    epoch is like the one before, which keeps a patient student from learning a fixed set by heart (Beyer et al. 2022,
    "consistent and patient"). A sentence that has no more variants than are asked for gives all of them.

    Args:
        table: of (N,) rows; `origin` where it holds more than the training set: the first row of each origin is the
            sentence itself, and the rows of an origin below 0 are each for itself.
    """
    if variants is None or "origin" not in table:
        return None
    origins = table["origin"].to_numpy()
    varied = np.flatnonzero(table["origin"].duplicated().to_numpy() & (origins >= 0))
    if not len(varied):
        return None
    order = np.random.default_rng(seed).permutation(varied)
    order = order[np.argsort(origins[order], kind="stable")]
    _, starts, counts = np.unique(origins[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(starts, counts)
    of = np.repeat(counts, counts)
    always = np.setdiff1d(np.arange(len(table)), varied)

    def rows(epoch: int) -> npt.NDArray[np.intp]:
        turn = (place - epoch * variants) % of < variants
        return np.sort(np.concatenate([always, order[turn]]))

    return rows
