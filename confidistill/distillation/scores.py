"""Attention scores before softmax, which transformers does not return by itself."""

from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from confidistill.architectures import architecture_of

NAME = "confidistill_scores"


class Features(NamedTuple):
    """What a student can imitate. B: batch, T: tokens, L: layers, h: heads, H: hidden size, C: classes."""

    logits: Tensor | None  # (B, C)
    hidden_states: tuple[Tensor, ...]  # L + 1 of (B, T, H); 0 is the embedding output
    scores: tuple[Tensor, ...]  # L of (B, h, T, T): QK^T / sqrt(H/h), before mask and softmax; none of some families


def attention_with_scores(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Eager attention whose second value is the scores, not the probabilities. query: (B, h, T, H/h).

    key and value: the same, or of fewer heads, each for a group of the query's (grouped-query attention).
    """
    if groups := query.shape[1] // key.shape[1] - 1:
        key, value = (heads.repeat_interleave(groups + 1, dim=1) for heads in (key, value))
    scores = query @ key.transpose(2, 3) * scaling  # (B, h, T, T)
    masked = scores if attention_mask is None else scores + attention_mask
    probabilities = nn.functional.dropout(masked.softmax(-1), p=dropout, training=module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), scores  # (B, T, h, H/h)


AttentionInterface.register(NAME, attention_with_scores)
# Without a mask function of the same name transformers would leave padding unmasked.
AttentionMaskInterface.register(NAME, eager_mask)


def capture_scores(model: PreTrainedModel) -> None:
    """Make `model` compute attention through `attention_with_scores`, if its family lets it.

    Raises:
        UserError: the model's family is not supported.
    """
    if architecture_of(model.config).scores:
        model.set_attn_implementation(NAME)


def forward(model: PreTrainedModel, **inputs: Tensor) -> Features:
    """Run a model prepared by `capture_scores`. inputs: those that the family takes, (B, T) each."""
    scores = architecture_of(model.config).scores
    output = model(**inputs, output_hidden_states=True, output_attentions=scores)
    return Features(getattr(output, "logits", None), output.hidden_states, output.attentions if scores else ())
