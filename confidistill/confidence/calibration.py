"""Expected calibration error and the bins of a reliability diagram (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

from confidistill.confidence.difference import Floats, Integers, confidence

TOP_LABEL_BINS = 15


def reliability(confidences: Floats, correct: NDArray[np.bool_], bins: int = 10) -> dict[str, NDArray[np.float64]]:
    """Mean confidence, accuracy and count of `bins` equal bins on (0, 1], empty ones left out.

    Bin i holds ((i-1)/bins, i/bins]. confidences, correct: (N,). Returns arrays `confidence`, `accuracy`, `examples`.
    """
    index = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)  # (N,)
    counts = np.bincount(index, minlength=bins)
    filled = counts > 0
    return {
        "confidence": np.bincount(index, confidences, bins)[filled] / counts[filled],
        "accuracy": np.bincount(index, correct, bins)[filled] / counts[filled],
        "examples": counts[filled].astype(np.float64),
    }


def expected_calibration_error(confidences: Floats, correct: NDArray[np.bool_], bins: int) -> float:
    """sum_b |B_b| / N * |accuracy(B_b) - confidence(B_b)|, the L1 form. confidences, correct: (N,)."""
    table = reliability(confidences, correct, bins)
    gaps = np.abs(table["accuracy"] - table["confidence"])
    return float(np.sum(table["examples"] * gaps) / len(confidences))


def stacked_ece(probabilities: Floats, labels: Integers) -> float:
    """ECE as the paper computes it: every class's probability is a point, 10 bins.

    probabilities: (N, C), labels: (N,); point (i, j) has confidence p_ij and is correct if j is the label.
    """
    correct = labels[:, None] == np.arange(probabilities.shape[1])  # (N, C)
    return expected_calibration_error(probabilities.ravel(), correct.ravel(), bins=10)


def top_label_ece(probabilities: Floats, labels: Integers) -> float:
    """ECE of the predicted class, 15 bins (Guo et al. 2017). probabilities: (N, C), labels: (N,)."""
    return expected_calibration_error(confidence(probabilities), probabilities.argmax(axis=1) == labels, TOP_LABEL_BINS)
