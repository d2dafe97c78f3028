"""The pairwise confidence difference delta and its spread sigma (paper, Eqs. 2 to 4). N: examples, C: classes."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def confidence(probabilities: Floats) -> Floats:
    """conf(x) = max_j p(x)_j (Eq. 2). probabilities: (N, C). Returns (N,)."""
    return probabilities.max(axis=1)


def pairwise_difference(teacher: Floats, student: Floats) -> Floats:
    """delta(x) = p_T(x)[k] - p_S(x)[k], k = argmax_j p_T(x)_j (Eq. 3). teacher, student: (N, C). Returns (N,).

    k is the teacher's class for both: a student that is as sure of another class differs. Ties go to the first class.
    """
    classes = teacher.argmax(axis=1)[:, None]  # (N, 1)
    return (np.take_along_axis(teacher, classes, 1) - np.take_along_axis(student, classes, 1))[:, 0]


def released_difference(teacher: Floats, student: Floats, labels: Integers) -> Floats:
    """delta as in the authors' released figures: p_T[0] - p_S[0] of the rows where both models are correct.

    teacher, student: (N, C), labels: (N,). Returns (M,), M <= N, perhaps 0.
    """
    correct = (teacher.argmax(axis=1) == labels) & (student.argmax(axis=1) == labels)
    return teacher[correct, 0] - student[correct, 0]


def sigma(difference: Floats) -> float:
    """sqrt(mean delta^2), the root mean square (Eq. 4); NaN for no examples. difference: (N,)."""
    return float(np.sqrt(np.mean(np.square(difference)))) if len(difference) else float("nan")


def sigma_released(teacher: Floats, student: Floats, labels: Integers) -> float:
    """The population standard deviation of `released_difference`; NaN if no row is correct by both."""
    difference = released_difference(teacher, student, labels)
    return float(difference.std()) if len(difference) else float("nan")


def sigma_max_confidence(teacher: Floats, student: Floats) -> float:
    """The RMS of conf_T(x) - conf_S(x), each model's own class. Reported, never judged by.

    Two models that are equally sure of different classes count as alike here.
    """
    return sigma(confidence(teacher) - confidence(student))
