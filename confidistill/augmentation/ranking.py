"""The highest scores, in an order that never depends on the sorting algorithm."""

import numpy as np
import numpy.typing as npt


def highest(scores: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """Indices of the `count` highest of `scores` (n,), highest first; equal ones by their index."""
    if count < len(scores):
        threshold = np.partition(scores, -count)[-count]
        indices = np.flatnonzero(scores >= threshold)
    else:
        indices = np.arange(len(scores))
    return indices[np.argsort(-scores[indices], kind="stable")][:count]
