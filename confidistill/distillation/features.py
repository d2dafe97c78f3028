"""Matching features, the loss that general and intermediate distillation share (TinyBERT, Eqs. 7 to 9)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from confidistill.architectures import architecture_of
from confidistill.architectures.architecture import model_inputs, part
from confidistill.distillation.data import Batch
from confidistill.distillation.feature_cache import FeatureCache, cached
from confidistill.distillation.feature_file import Target
from confidistill.distillation.layers import LayerMap
from confidistill.distillation.losses import Padding, attention_loss, hidden_loss
from confidistill.distillation.scores import capture_scores, forward
from confidistill.distillation.student import Student
from confidistill.distillation.terms import ALL_FEATURES, FEATURES, Term, check_terms
from confidistill.distillation.trainer import Loss
from confidistill.errors import UserError


def feature_loss(
    teacher: PreTrainedModel,
    student: Student,
    layers: LayerMap,
    padding: Padding,
    terms: Sequence[Term] = ALL_FEATURES,
    cache: FeatureCache | None = None,
) -> Loss:
    """Sum over the layer map of attention-score MSE and hidden-state MSE (the embedding output is hidden state 0).

    `terms` are those of `terms.FEATURES` that count, and how much; TinyBERT: all, weights 1. With a `cache` the teacher
    is run on all its text by the first call, and read from then on.

    Prepares both models: scores are captured, the teacher is put in evaluation mode and asked for no gradients, the
    student's parts that no feature depends on, such as a pooler, are frozen. Of families without scores the attention
    term is left out, which is said; of layers that attend to a window, scores count within it.

    Raises:
        UserError: no term is left.
    """
    check_terms(terms, FEATURES)
    weights = {term.name: term.weight for term in terms}
    architecture = architecture_of(student.encoder.config)
    if not architecture.scores and weights.pop("attention", 0.0):
        if not weights:
            raise UserError(f"loss: {architecture.model_type} gives no attention scores: name hidden or embedding, too")
        print(f"{architecture.model_type} gives no attention scores: hidden states alone are matched")
    for model in (teacher, student.encoder):
        capture_scores(model)
    teacher.eval().requires_grad_(False)
    for unused in filter(None, (part(student.encoder, path) for path in architecture.unused)):
        unused.requires_grad_(False)
    windows = [
        _narrower(architecture.window(student.encoder.config, i), architecture.window(teacher.config, j))
        for i, j in enumerate(layers.attention)
    ]
    names = model_inputs(teacher)
    kinds = ["embedding", *["hidden"] * (len(layers.hidden) - 1)]
    imitated = {i: j for i, j in enumerate(layers.hidden) if kinds[i] in weights}
    attended = dict(enumerate(layers.attention)) if "attention" in weights else {}

    def compute(batch: Batch) -> Target:
        ready(teacher, batch["attention_mask"].device)
        with torch.no_grad():
            found = forward(teacher, **{key: batch[key] for key in names})
        return Target(
            {j: found.hidden_states[j] for j in imitated.values()}, {j: found.scores[j] for j in attended.values()}
        )

    targets = cached(compute, cache) if cache else compute

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        mask = batch["attention_mask"]
        target = targets(batch)
        hidden_states, scores = model(**{key: batch[key] for key in names})
        total = sum(
            weights["attention"] * attention_loss(scores[i], target.scores[j], mask, padding, windows[i])
            for i, j in attended.items()
        ) + sum(
            weights[kinds[i]] * hidden_loss(hidden_states[i], target.hidden_states[j], mask, padding)
            for i, j in imitated.items()
        )
        assert isinstance(total, Tensor)
        return total

    return loss


def ready(teacher: nn.Module, device: torch.device) -> None:
    """Have a model that is not trained on the device, its linear maps in the number format that autocast computes in.

    Autocast casts what it computes with: weights that stay would be cast anew, to the same, in each step.
    """
    if next(teacher.parameters()).device != device:
        teacher.to(device)
    if torch.is_autocast_enabled(device.type):
        half = torch.get_autocast_dtype(device.type)
        for layer in teacher.modules():
            if isinstance(layer, nn.Linear) and layer.weight.dtype != half:
                layer.to(half)


def _narrower(one: int | None, other: int | None) -> int | None:
    """The smaller of two windows; None is no window."""
    return min((window for window in (one, other) if window is not None), default=None)
