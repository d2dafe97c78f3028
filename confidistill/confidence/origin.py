"""Where sigma comes from: rows of different class or of the same, a bias, over-confidence. N: examples, C: classes."""

import numpy as np

from confidistill.confidence.difference import Floats, pairwise_difference

ALIKE = 1e-9  # of log-odds: nearer than this they differ by rounding alone
SMALLEST = np.finfo(np.float64).epsneg  # below 1, what a probability of 1 leaves to the other classes


def sigma_parts(teacher: Floats, student: Floats) -> tuple[float, float]:
    """sigma_flips and sigma_drift, with sigma^2 = sigma_flips^2 + sigma_drift^2.

    sqrt(sum of delta^2 / N) over the rows to which the models give different classes, and over those of the same class;
    N counts all rows in both. teacher, student: (N, C).
    """
    squares = pairwise_difference(teacher, student) ** 2
    flipped = teacher.argmax(axis=1) != student.argmax(axis=1)  # (N,)
    flips, drift = (float(np.sqrt(squares[rows].sum() / len(squares))) for rows in (flipped, ~flipped))
    return flips, drift


def confidence_slope(teacher: Floats, student: Floats) -> float:
    """Slope b of the least-squares line l_S = a + b l_T, l = log p_k - log(1 - p_k) at the teacher's class k.

    Above 1 the student exaggerates what its teacher is more or less sure of, below 1 it levels it (Nagarajan et al.
    2023, who plot these log-odds for teacher and student). Probabilities of 0 and 1 count as the nearest numbers that
    are neither. NaN where the teacher's log-odds are all alike. teacher, student: (N, C).
    """
    classes = teacher.argmax(axis=1)[:, None]  # (N, 1)
    of_teacher, of_student = (_log_odds(np.take_along_axis(p, classes, 1)[:, 0]) for p in (teacher, student))  # (N,)
    if np.ptp(of_teacher) <= ALIKE * max(1.0, float(np.abs(of_teacher).max())):
        return float("nan")
    spread = of_teacher - of_teacher.mean()
    return float(spread @ (of_student - of_student.mean()) / (spread @ spread))


def _log_odds(probability: Floats) -> Floats:
    inside = probability.clip(SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
