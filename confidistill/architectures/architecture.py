"""What distillation and augmentation must know of a family of encoders."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

from confidistill.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

BATCH_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def no_words(tokenizer: PreTrainedTokenizerBase, text: str) -> NoReturn:
    """Raise a UserError: what a word is, is known of tokenizers with WordPiece alone."""
    raise UserError(
        f"{tokenizer.name_or_path}: no words of WordPiece: texts are augmented for families of BERT's vocabulary alone"
    )


def no_window(config: PretrainedConfig, layer: int) -> None:
    """Every token of the text is attended to, in each layer."""


@dataclass(frozen=True)
class Architecture:
    """Where the models of one family keep their parts, and how their tokenizer reads a word.

    Parts are named by their path in the bare encoder, as `AutoModel` makes it; `part` takes one out.
    """

    model_type: str
    """As in config.json."""
    embeddings: tuple[str, ...]
    """What makes the hidden state that goes into the first layer."""
    tables: tuple[str, ...]
    """Embeddings (N, E) that add up to a token's, the vocabulary's first; a model may lack any but that."""
    layers: str | None
    """The list of layers, in order; each can take the weights of another. None: all layers are one."""
    longest: Callable[[PretrainedConfig], int]
    """The most tokens that a model of the configuration reads."""
    projection: str | None = None
    """The linear layer from the tables' width E to the hidden size, where there is one."""
    unused: tuple[str, ...] = ()
    """Parts of weights that no hidden state depends on, such as what a classification head reads."""
    scores: bool = True
    """Whether transformers lets attention be computed by a function of ours, which gives scores before softmax."""
    half: bool = True
    """Whether transformers computes its models in half precision, weights in fp32 (autocast)."""
    narrower: bool = True
    """Whether a student may be narrower than the teacher it starts from."""
    window: Callable[[PretrainedConfig, int], int | None] = no_window
    """How far from a token the layer of that number attends to others; None: everywhere."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What config.json calls sizes that other families call num_hidden_layers, hidden_size, intermediate_size, ..."""
    masked_lm_head: str | None = None
    """The head (…, hidden size) -> (…, vocabulary) of a masked language model, by its path in that."""
    words: Callable[[PreTrainedTokenizerBase, str], list[str]] = no_words
    """A text's words before they are split into pieces."""
    pieces: Callable[[PreTrainedTokenizerBase, str], list[int]] = no_words
    """The ids of a word's pieces."""
    continues: Callable[[str], bool] = bool
    """Whether a token goes on with the word of the token before it."""

    def size(self, config: Any, name: str) -> Any:
        """A size of a configuration, or of what config.json holds, by the name that most families give it."""
        return getattr(config, self.names.get(name, name))

    def own_key(self, key: str, imitated: Sequence[int]) -> str:
        """The teacher's parameter that a student's takes, layer i being the teacher's `imitated[i]`."""
        if self.layers is None or not key.startswith(f"{self.layers}."):
            return key
        number, _, rest = key.removeprefix(f"{self.layers}.").partition(".")
        return f"{self.layers}.{imitated[int(number)]}.{rest}"


def part(model: nn.Module, path: str) -> Any:
    """The part of a model at `path`; None where it is left out."""
    parent, _, name = path.rpartition(".")
    return getattr(attrgetter(parent)(model) if parent else model, name, None)


def reshaped(
    architecture: Architecture,
    config: PretrainedConfig,
    *,
    layers: int,
    hidden_size: int,
    intermediate_size: int,
    attention_heads: int,
    imitated: Sequence[int] | None = None,
) -> PretrainedConfig:
    """The configuration of another size: the same family, vocabulary and dropout.

    Args:
        imitated: the layers of `config` that the others take after, whose window is theirs; None: the first ones.
    """
    other = type(config)(**config.to_dict())
    sizes = {"num_hidden_layers": layers, "hidden_size": hidden_size, "intermediate_size": intermediate_size}
    for name, size in (sizes | {"num_attention_heads": attention_heads}).items():
        setattr(other, architecture.names.get(name, name), size)
    if hasattr(config, "head_dim"):
        other.head_dim = hidden_size // attention_heads
    if hasattr(config, "pooler_hidden_size"):
        other.pooler_hidden_size = hidden_size
    if getattr(config, "embedding_size", None) == config.hidden_size and architecture.projection:
        other.embedding_size = hidden_size
    if getattr(config, "layer_types", None):
        other.layer_types = [config.layer_types[layer] for layer in imitated or range(layers)]
    return other


def model_inputs(model: nn.Module) -> tuple[str, ...]:
    """Which tensors of a batch the model takes, by the signature of its class: not every family has segments.

    A model that knows one segment only is given none: whatever its tokenizer says, there is no second.
    """
    taken = inspect.signature(type(model).forward).parameters
    segments: Any = getattr(getattr(model, "config", None), "type_vocab_size", 2)
    return tuple(name for name in BATCH_INPUTS if name in taken and (name != "token_type_ids" or segments > 1))


def own_storage(model: nn.Module) -> None:
    """Give each parameter memory of its own: of some files, several are read as one.

    What is a part of larger memory cannot be saved as safetensors.
    """
    for parameter in model.parameters():
        if parameter.untyped_storage().nbytes() > parameter.nbytes:
            parameter.data = parameter.data.clone()


def dropouts(config: PretrainedConfig) -> list[str]:
    """The settings of a configuration that are rates of dropout; None is one that is as another."""
    return [
        name
        for name, value in config.to_dict().items()
        if "dropout" in name and not isinstance(value, bool) and isinstance(value, int | float | None)
    ]
