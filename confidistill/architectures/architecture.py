"""What distillation and augmentation must know of a family of encoders."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

BATCH_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Architecture:
    """Where the models of one family keep their parts, and how their tokenizer reads a word.

    Parts are named by their path in the bare encoder, as `AutoModel` makes it; `part` takes one out.
    """

    model_type: str
    """As in config.json."""
    embeddings: str
    """What makes the hidden state that goes into the first layer."""
    embedding_tables: tuple[str, ...]
    """The names in it of embeddings (N, hidden size) that add up to a token's; the first is that of the vocabulary."""
    layers: str
    """The list of layers, in order; each can take the weights of another of the same widths."""
    pooler: str
    """What a classification head reads, of weights that no hidden state depends on; a model may have none."""
    masked_lm_head: str
    """The head (…, hidden size) -> (…, vocabulary) of a masked language model, by its path in that."""
    longest: Callable[[PretrainedConfig], int]
    """The most tokens that a model of the configuration reads."""
    words: Callable[[PreTrainedTokenizerBase, str], list[str]]
    """A text's words before they are split into pieces."""
    pieces: Callable[[PreTrainedTokenizerBase, str], list[int]]
    """The ids of a word's pieces."""
    continues: Callable[[str], bool]
    """Whether a token goes on with the word of the token before it."""


def part(model: nn.Module, path: str) -> Any:
    """The part of a model at `path`; None where it is left out."""
    return attrgetter(path)(model)


def reshaped(
    config: PretrainedConfig, *, layers: int, hidden_size: int, intermediate_size: int, attention_heads: int
) -> PretrainedConfig:
    """The configuration of another size: the same family, vocabulary and dropout."""
    other = type(config)(**config.to_dict())
    other.num_hidden_layers = layers
    other.hidden_size = hidden_size
    other.intermediate_size = intermediate_size
    other.num_attention_heads = attention_heads
    return other


def model_inputs(model: nn.Module) -> tuple[str, ...]:
    """Which tensors of a batch the model takes, by the signature of its class: not every family has segments."""
    taken = inspect.signature(type(model).forward).parameters
    return tuple(name for name in BATCH_INPUTS if name in taken)
