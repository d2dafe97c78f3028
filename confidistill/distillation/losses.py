"""What a student is trained by: the losses of TinyBERT (section 3), of Eq. (1), and others, as pure functions.

B: batch, T: tokens, h: heads, H: hidden size, C: classes. `attention_mask` is (B, T), 1 on real tokens.

Two readings of a mean over a padded batch:
- `ignore`: mean over the real tokens of each example, then over the batch. It depends neither on how far a batch was
  padded nor on how it was split, so it is the default.
- `reference`: TinyBERT's code: scores at padded keys (and any score <= -100) are 0 in both tensors, then the mean runs
  over everything, padded rows included.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Padding = Literal["ignore", "reference"]


def attention_loss(
    student: Tensor, teacher: Tensor, attention_mask: Tensor, padding: Padding = "ignore", window: int | None = None
) -> Tensor:
    """MSE of one layer's attention scores before softmax (TinyBERT, Eq. 7).

    Args:
        student, teacher: (B, h, T, T), unmasked.
        window: scores of tokens farther from each other than this are as those of padding; None: all count.

    Raises:
        ValueError: the shapes differ.
    """
    _same_shape(student, teacher)
    real = attention_mask.to(student.dtype)  # (B, T)
    if padding == "reference":
        keys = real[:, None, None, :] * _near(real.shape[1], window, real)  # (B, 1, 1, T), with a window (B, 1, T, T)
        return functional.mse_loss(
            torch.where((student <= -1e2) | (keys == 0), 0.0, student),
            torch.where((teacher <= -1e2) | (keys == 0), 0.0, teacher),
        )
    pairs = real[:, None, :, None] * real[:, None, None, :] * _near(real.shape[1], window, real)  # (B, 1, T, T)
    squared = ((student - teacher).square() * pairs).sum((1, 2, 3))  # (B,)
    return (squared / (pairs.sum((1, 2, 3)) * student.shape[1])).mean()


def _near(tokens: int, window: int | None, like: Tensor) -> Tensor | int:
    """1 where two tokens are within `window` of each other, (T, T); 1 without one."""
    if window is None:
        return 1
    places = torch.arange(tokens, device=like.device)
    return ((places[:, None] - places).abs() <= window).to(like.dtype)


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


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """t^2 KL(softmax(z_T / t) || softmax(z_S / t)), mean over the batch (Hinton et al. 2015, section 2).

    At t = 1 it has the gradient of `soft_cross_entropy` and is 0 where the models agree; t^2 keeps the gradient's size
    whatever t.

    Args:
        student_logits, teacher_logits: (B, C).
    """
    _same_shape(student_logits, teacher_logits)
    log_p, log_q = ((logits / temperature).log_softmax(-1) for logits in (teacher_logits, student_logits))
    return temperature**2 * functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def jensen_shannon(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """(KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2, of p, q = softmax(z / t), mean over the batch (Lin 1991).

    Symmetric and at most log 2: no single example can dominate a batch.

    Args:
        student_logits, teacher_logits: (B, C).
    """
    _same_shape(student_logits, teacher_logits)
    logs = [(logits / temperature).log_softmax(-1) for logits in (teacher_logits, student_logits)]
    middle = torch.logaddexp(*logs) - math.log(2)
    halves = [functional.kl_div(middle, log, reduction="batchmean", log_target=True) for log in logs]
    return (halves[0] + halves[1]) / 2


def squared_difference(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """delta^2 = (p_T[k] - p_S[k])^2, k = argmax_j p_T[j], mean over the batch: sigma^2 itself (paper, Eqs. 3 and 4).

    Its gradient vanishes where the student is sure of another class; beside another term, it is not the only guide.

    Args:
        student_logits, teacher_logits: (B, C).
    """
    _same_shape(student_logits, teacher_logits)
    p, q = ((logits / temperature).softmax(-1) for logits in (teacher_logits, student_logits))
    k = p.argmax(-1, keepdim=True)  # (B, 1)
    return (p.gather(-1, k) - q.gather(-1, k)).square().mean()


def logit_mse(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """||(z_T - z_S) / t||^2 of an example, mean over the batch: the distillation term of Eq. (1) over |X|."""
    _same_shape(student_logits, teacher_logits)
    return ((student_logits - teacher_logits) / temperature).square().sum(-1).mean()


def _same_shape(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student has shape {tuple(student.shape)}, teacher {tuple(teacher.shape)}")
