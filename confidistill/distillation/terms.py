"""A loss is a list of named, weighted terms; this is the one place that knows their names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from confidistill.distillation import losses
from confidistill.errors import UserError

PREDICTION: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "soft_ce": losses.soft_cross_entropy,
    "kl": losses.kl_divergence,
    "js": losses.jensen_shannon,
    "sigma": losses.squared_difference,
    "logit_mse": losses.logit_mse,
}
"""Terms of stage 2: (student_logits, teacher_logits, temperature) -> a mean over the batch."""

FEATURES = ("attention", "hidden", "embedding")
"""Terms of general distillation and stage 1: scores of the mapped layers, hidden states above the embeddings, the
embedding output."""


@dataclass(frozen=True)
class Term:
    """One term of a loss: its name and what it counts."""

    name: str
    weight: float = 1.0


SOFT_CE = (Term("soft_ce"),)
ALL_FEATURES = tuple(Term(name) for name in FEATURES)


def check_terms(terms: Sequence[Term], known: Sequence[str]) -> None:
    """Raise a UserError unless there are terms, each known and named once, with a positive weight."""
    names = [term.name for term in terms]
    if not names:
        raise UserError(f"a loss needs at least one term: {', '.join(known)}")
    for term in terms:
        if term.name not in known:
            raise UserError(f"no loss is called {term.name!r}: known are {', '.join(known)}")
        if names.count(term.name) > 1:
            raise UserError(f"{term.name!r} is named twice: give it one weight")
        if not 0 < term.weight < float("inf"):
            raise UserError(f"{term.name!r} has weight {term.weight:g}: give a positive number, or leave it out")


def prediction_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    terms: Sequence[Term] = SOFT_CE,
    alpha: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """alpha * CE(y, p_S) + (1 - alpha) * sum of the weighted terms (Eq. 1, as a mean; TinyBERT: soft_ce, alpha 0, t 1).

    The temperature divides both models' logits in the terms, never in the hard labels' cross-entropy.

    Args:
        student_logits, teacher_logits: (B, C). labels: (B,).
    """
    distillation = torch.stack(
        [term.weight * PREDICTION[term.name](student_logits, teacher_logits, temperature) for term in terms]
    ).sum()
    if alpha == 0.0:
        return distillation
    return alpha * functional.cross_entropy(student_logits, labels) + (1 - alpha) * distillation
