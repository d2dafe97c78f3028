"""Upper bounds on sigma from the distillation loss, measured in evaluation mode on the same examples (Eqs. 6 to 10)."""

import numpy as np

from confidistill.confidence.agreement import predictive_kl
from confidistill.confidence.difference import Floats


def logit_distance(teacher_logits: Floats, student_logits: Floats) -> float:
    """RMS over examples of ||z_T - z_S||, which is sqrt(beta / |X|) for the sum loss beta at alpha = 0.

    A row of logits is defined up to a constant, which softmax does not see: each row is centred first.
    teacher_logits, student_logits: (N, C).
    """
    gap = teacher_logits - student_logits
    return float(np.sqrt(np.mean(np.square(gap - gap.mean(axis=1, keepdims=True)).sum(axis=1))))


def bound_paper(teacher_logits: Floats, student_logits: Floats, gamma: float = 1.0) -> float:
    """gamma * sqrt(beta / |X|) with beta the sum of ||z_T - z_S||^2 (Eq. 10 at alpha = 0)."""
    return gamma * float(np.sqrt(np.mean(np.square(teacher_logits - student_logits).sum(axis=1))))


def bound_tight(teacher_logits: Floats, student_logits: Floats, gamma: float = 1.0) -> float:
    """gamma / (2 sqrt 2) * RMS ||z_T - z_S||: one entry of softmax changes by at most 1/(2 sqrt 2) of the distance."""
    return float(gamma / (2 * np.sqrt(2)) * logit_distance(teacher_logits, student_logits))


def bound_pinsker(teacher: Floats, student: Floats) -> float:
    """sqrt(mean KL(p_T || p_S) / 2), by Pinsker's inequality; KL is soft cross-entropy less the teacher's entropy."""
    return float(np.sqrt(predictive_kl(teacher, student) / 2))
