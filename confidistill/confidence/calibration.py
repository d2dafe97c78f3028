"""Expected calibration error and the bins of a reliability diagram (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

from confidistill.confidence.difference import Floats, Integers, confidence

STACKED_BINS, TOP_LABEL_BINS = 10, 15


def reliability(confidences: Floats, correct: NDArray[np.bool_], bins: int = 10) -> dict[str, NDArray[np.float64]]:
    """Mean confidence, accuracy and count of `bins` equal bins on (0, 1], empty ones left out.

    Bin i holds ((i-1)/bins, i/bins]. confidences, correct: (N,). Returns arrays `confidence`, `accuracy`, `examples`.
    """
    counts, confident, right = binned(confidences, correct, bins)
    filled = counts > 0
    return {
        "confidence": confident[filled] / counts[filled],
        "accuracy": right[filled] / counts[filled],
        "examples": counts[filled],
    }


def binned(confidences: Floats, correct: NDArray[np.bool_], bins: int) -> Floats:
    """(3, bins): the count, the sum of confidences and the number correct of each bin. confidences, correct: (N,)."""
    index = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)  # (N,)
    return np.stack([np.bincount(index, weights, bins) for weights in (None, confidences, correct)])


def expected_calibration_error(confidences: Floats, correct: NDArray[np.bool_], bins: int) -> float:
    """sum_b |B_b| / N * |accuracy(B_b) - confidence(B_b)|, the L1 form. confidences, correct: (N,)."""
    return error_of(binned(confidences, correct, bins))


def error_of(table: Floats) -> float:
    """`expected_calibration_error` of bins, (3, bins) as `binned` gives them."""
    counts, confident, right = table
    return float(np.abs(right - confident).sum() / counts.sum())


def stacked_bins(probabilities: Floats, labels: Integers) -> Floats:
    """The bins of ECE as the paper computes it: every class's probability is a point, 10 bins.

    probabilities: (N, C), labels: (N,); point (i, j) has confidence p_ij and is correct if j is the label.
    """
    correct = labels[:, None] == np.arange(probabilities.shape[1])  # (N, C)
    return binned(probabilities.ravel(), correct.ravel(), STACKED_BINS)


def top_label_bins(probabilities: Floats, labels: Integers) -> Floats:
    """The bins of ECE of the predicted class, 15 of them (Guo et al. 2017). probabilities: (N, C), labels: (N,)."""
    return binned(confidence(probabilities), probabilities.argmax(axis=1) == labels, TOP_LABEL_BINS)


def stacked_ece(probabilities: Floats, labels: Integers) -> float:
    """ECE as the paper computes it, see `stacked_bins`. probabilities: (N, C), labels: (N,)."""
    return error_of(stacked_bins(probabilities, labels))


def top_label_ece(probabilities: Floats, labels: Integers) -> float:
    """ECE of the predicted class. probabilities: (N, C), labels: (N,)."""
    return error_of(top_label_bins(probabilities, labels))
