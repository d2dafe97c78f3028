"""Where sigma comes from: rows of different class or of the same, a bias, over-confidence. N: examples, C: classes."""

from dataclasses import dataclass

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
    return line(teacher, student).slope


def line(teacher: Floats, student: Floats) -> "Line":
    """The moments of l_T and l_S that `confidence_slope` is of. teacher, student: (N, C), N >= 1."""
    classes = teacher.argmax(axis=1)[:, None]  # (N, 1)
    x, y = (_log_odds(np.take_along_axis(p, classes, 1)[:, 0]) for p in (teacher, student))  # (N,)
    spread = x - x.mean()
    moments = float(x.mean()), float(y.mean()), float(spread @ spread), float(spread @ (y - y.mean()))
    return Line(len(x), *moments, low=float(x.min()), high=float(x.max()))


@dataclass(frozen=True)
class Line:
    """Means of x and y over some rows, sums of (x - mean)^2 and (x - mean)(y - mean), and the range of x."""

    rows: int
    x: float
    y: float
    xx: float
    xy: float
    low: float
    high: float

    def __add__(self, other: "Line") -> "Line":
        """The moments of both's rows (Chan et al. 1979)."""
        rows = self.rows + other.rows
        share, gap_x, gap_y = other.rows / rows, other.x - self.x, other.y - self.y
        return Line(
            rows,
            self.x + share * gap_x,
            self.y + share * gap_y,
            self.xx + other.xx + self.rows * share * gap_x**2,
            self.xy + other.xy + self.rows * share * gap_x * gap_y,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )

    @property
    def slope(self) -> float:
        """Of the least-squares line; NaN where the x are all alike."""
        if self.high - self.low <= ALIKE * max(1.0, abs(self.low), abs(self.high)):
            return float("nan")
        return self.xy / self.xx


def _log_odds(probability: Floats) -> Floats:
    inside = probability.clip(SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
