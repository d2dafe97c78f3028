"""The losses and measures once more, as plainly as their formulas: loops over numbers, no tensor, nothing of ours.

What the goldens are computed by. Where the reference's own cases are at hand, a test holds these against them.
Numbers may be complex, for gradients: the derivative of f along x_i is Im f(x + ih e_i) / h (Squire & Trapp 1998).
"""

import cmath
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

STEP = 1e-30


def gradient(loss: Callable[[np.ndarray], complex], at: np.ndarray) -> np.ndarray:
    """The derivative of `loss` along every element, exact but for rounding."""
    found = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        moved = at.astype(complex)
        moved[index] += 1j * STEP
        found[index] = loss(moved).imag / STEP
    return found


def attention(student: np.ndarray, teacher: np.ndarray, mask: np.ndarray, padding: str) -> complex:
    """TinyBERT, Eq. 7, one layer: scores (B, h, T, T).

    `reference`, as its code: 0 where the key is padded or a score is <= -100, then the mean over everything.
    `ignore`: the mean over pairs of real tokens of each example, then over the examples.
    """
    total: complex = 0
    examples, heads, tokens, _ = teacher.shape
    for b, h, i, j in itertools.product(range(examples), range(heads), range(tokens), range(tokens)):
        s, t = student[b, h, i, j], teacher[b, h, i, j]
        if padding == "reference":
            s = 0 if not mask[b, j] or s.real <= -100 else s
            t = 0 if not mask[b, j] or t <= -100 else t
            total += (s - t) ** 2 / (examples * heads * tokens * tokens)
        elif mask[b, i] and mask[b, j]:
            total += (s - t) ** 2 / (examples * heads * int(mask[b].sum()) ** 2)
    return total


def hidden(student: np.ndarray, teacher: np.ndarray, mask: np.ndarray, padding: str) -> complex:
    """TinyBERT, Eqs. 8 and 9, one hidden state, the student's projected: (B, T, H). `padding` as in `attention`."""
    total: complex = 0
    examples, tokens, size = teacher.shape
    for b, i, k in itertools.product(range(examples), range(tokens), range(size)):
        squared = (student[b, i, k] - teacher[b, i, k]) ** 2
        if padding == "reference":
            total += squared / (examples * tokens * size)
        elif mask[b, i]:
            total += squared / (examples * int(mask[b].sum()) * size)
    return total


def softmax(logits: Sequence[complex], temperature: float = 1.0) -> list[complex]:
    """exp(z_j / t) / sum_k exp(z_k / t)."""
    powers = [cmath.exp(z / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def soft_cross_entropy(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> complex:
    """TinyBERT, Eq. 10: -sum_j p_j log q_j, mean over the batch."""
    return _mean(lambda p, q: -sum(a * cmath.log(b) for a, b in zip(p, q, strict=True)), student, teacher, temperature)


def kl_divergence(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> complex:
    """Hinton et al. 2015: t^2 sum_j p_j log(p_j / q_j), mean over the batch."""
    return temperature**2 * _mean(_kl, student, teacher, temperature)


def jensen_shannon(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> complex:
    """Lin 1991: (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, mean over the batch."""

    def of_one(p: list[complex], q: list[complex]) -> complex:
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        return (_kl(p, middle) + _kl(q, middle)) / 2

    return _mean(of_one, student, teacher, temperature)


def squared_difference(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> complex:
    """The paper's Eqs. 3 and 4: (p[k] - q[k])^2 at the teacher's class k, mean over the batch."""

    def of_one(p: list[complex], q: list[complex]) -> complex:
        k = _argmax([a.real for a in p])
        return (p[k] - q[k]) ** 2

    return _mean(of_one, student, teacher, temperature)


def logit_mse(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> complex:
    """The paper's Eq. 1 without hard labels: ||(z_T - z_S) / t||^2, mean over the batch."""
    return sum(((s - t) / temperature) ** 2 for s, t in zip(student.flat, teacher.flat, strict=True)) / len(teacher)


def measures(teacher: np.ndarray, student: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What the paper measures of a pair, by name: probabilities (N, C), labels (N,)."""
    rows = list(zip(teacher.tolist(), student.tolist(), labels.tolist(), strict=True))
    chosen = [(_argmax(p), _argmax(q), label) for p, q, label in rows]
    delta = [p[_argmax(p)] - q[_argmax(p)] for p, q, _ in rows]  # Eq. 3
    both = [p[0] - q[0] for (p, q, _), (k, j, label) in zip(rows, chosen, strict=True) if k == j == label]
    middle = sum(both) / len(both)
    return {
        "examples": len(rows),
        "accuracy_teacher": sum(k == label for k, _, label in chosen) / len(rows),
        "accuracy_student": sum(j == label for _, j, label in chosen) / len(rows),
        "agreement": sum(k == j for k, j, _ in chosen) / len(rows),
        "ece_teacher": stacked_ece(teacher, labels),
        "ece_student": stacked_ece(student, labels),
        "sigma": math.sqrt(sum(d * d for d in delta) / len(delta)),  # Eq. 4
        "sigma_released": math.sqrt(sum((d - middle) ** 2 for d in both) / len(both)),
    }


def stacked_ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The released protocol's: each class's probability is a point, 10 equal bins on (0, 1], weighted |gap|."""
    points = [(p, c == label) for row, label in zip(probabilities, labels, strict=True) for c, p in enumerate(row)]
    total = 0.0
    for lower in range(10):
        inside = [(p, hit) for p, hit in points if lower / 10 < p <= (lower + 1) / 10]
        total += abs(sum(p for p, _ in inside) - sum(hit for _, hit in inside)) / len(points)
    return total


def _mean(of_one: Callable[..., complex], student: np.ndarray, teacher: np.ndarray, temperature: float) -> complex:
    pairs = zip(teacher, student, strict=True)
    return sum(of_one(softmax(t, temperature), softmax(s, temperature)) for t, s in pairs) / len(teacher)


def _kl(p: list[complex], q: list[complex]) -> complex:
    return sum(a * cmath.log(a / b) for a, b in zip(p, q, strict=True))


def _argmax(row: Sequence[float]) -> int:
    return max(range(len(row)), key=lambda index: row[index])
