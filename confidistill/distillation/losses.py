"""The losses of TinyBERT (section 3) and of Eq. (1), as pure functions.

B: batch, T: tokens, h: heads, H: hidden size, C: classes. `attention_mask` is (B, T), 1 on real tokens.

Two readings of a mean over a padded batch:
- `ignore`: mean over the real tokens of each example, then over the batch. It depends neither on how far a batch was
  padded nor on how it was split, so it is the default.
- `reference`: TinyBERT's code: scores at padded keys (and any score <= -100) are 0 in both tensors, then the mean runs
  over everything, padded rows included.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Padding = Literal["ignore", "reference"]
PredictionLoss = Literal["soft_ce", "logit_mse"]


def attention_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor, padding: Padding = "ignore") -> Tensor:
    """MSE of one layer's attention scores before softmax (TinyBERT, Eq. 7).

    Args:
        student, teacher: (B, h, T, T), unmasked.

    Raises:
        ValueError: the shapes differ.
    """
    _same_shape(student, teacher)
    real = attention_mask.to(student.dtype)  # (B, T)
    if padding == "reference":
        keys = real[:, None, None, :]  # (B, 1, 1, T)
        return functional.mse_loss(
            torch.where((student <= -1e2) | (keys == 0), 0.0, student),
            torch.where((teacher <= -1e2) | (keys == 0), 0.0, teacher),
        )
    pairs = real[:, None, :, None] * real[:, None, None, :]  # (B, 1, T, T)
    squared = ((student - teacher).square() * pairs).sum((1, 2, 3))  # (B,)
    return (squared / (pairs.sum((1, 2, 3)) * student.shape[1])).mean()


def hidden_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor, padding: Padding = "ignore") -> Tensor:
    """MSE of one hidden state, the student's already projected to the teacher's width (TinyBERT, Eqs. 8 and 9).

    Args:
        student, teacher: (B, T, H).

    Raises:
        ValueError: the shapes differ.
    """
    _same_shape(student, teacher)
    if padding == "reference":
        return functional.mse_loss(student, teacher)
    real = attention_mask.to(student.dtype)  # (B, T)
    squared = ((student - teacher).square() * real[:, :, None]).sum((1, 2))  # (B,)
    return (squared / (real.sum(1) * student.shape[2])).mean()


def soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """-sum_j softmax(z_T / t)_j log softmax(z_S / t)_j, mean over the batch (TinyBERT, Eq. 10).

    TinyBERT's code divides by batch x classes: its value is this one over C. As there, the value is not multiplied by
    t^2: gradients shrink as 1 / t^2 where t is large.

    Args:
        student_logits, teacher_logits: (B, C).
    """
    targets = (teacher_logits / temperature).softmax(-1)
    return functional.cross_entropy(student_logits / temperature, targets)


def logit_mse(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """||z_T - z_S||^2 of an example, mean over the batch: the distillation term of Eq. (1) over |X|."""
    _same_shape(student_logits, teacher_logits)
    return (student_logits - teacher_logits).square().sum(-1).mean()


def prediction_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    kind: PredictionLoss = "soft_ce",
    alpha: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """alpha * CE(y, p_S) + (1 - alpha) * distillation (Eq. 1, as a mean; TinyBERT: soft_ce, alpha = 0, t = 1).

    The temperature divides both models' logits in the distillation term only.

    Args:
        student_logits, teacher_logits: (B, C). labels: (B,).
    """
    if kind == "soft_ce":
        distillation = soft_cross_entropy(student_logits, teacher_logits, temperature)
    else:
        distillation = logit_mse(student_logits / temperature, teacher_logits / temperature)
    if alpha == 0.0:
        return distillation
    return alpha * functional.cross_entropy(student_logits, labels) + (1 - alpha) * distillation


def _same_shape(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student has shape {tuple(student.shape)}, teacher {tuple(teacher.shape)}")
