"""The families of encoders that can be distilled, as transformers has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from confidistill.architectures.architecture import Architecture
from confidistill.architectures.bert import BERT

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def positions(config: PretrainedConfig) -> int:
    """As many tokens as there are positions."""
    return int(config.max_position_embeddings)


def positions_after_padding(config: PretrainedConfig) -> int:
    """RoBERTa counts positions from the id of padding on."""
    return int(config.max_position_embeddings) - int(config.pad_token_id or 0) - 1


def _mpnet(config: PretrainedConfig) -> int:
    """The same, whatever the id of padding is: transformers takes it for 1."""
    return int(config.max_position_embeddings) - 2


def _esm(config: PretrainedConfig) -> int:
    return positions_after_padding(config) if config.position_embedding_type == "absolute" else positions(config)


def _modernbert_window(config: PretrainedConfig, layer: int) -> int | None:
    return config.sliding_window if config.layer_types[layer] == "sliding_attention" else None


# Learned positions, segments, layers in `encoder.layer`: BERT's body with other vocabularies, heads or projections.
ROBERTA = Architecture(
    model_type="roberta",
    embeddings=BERT.embeddings,
    tables=BERT.tables,
    layers=BERT.layers,
    longest=positions_after_padding,
    unused=("pooler",),
)
ELECTRA = replace(
    BERT,
    model_type="electra",
    embeddings=("embeddings", "embeddings_project"),
    projection="embeddings_project",
    unused=(),
    masked_lm_head=None,
)
DISTILBERT = replace(
    BERT,
    model_type="distilbert",
    layers="transformer.layer",
    unused=(),
    names={
        "num_hidden_layers": "n_layers",
        "hidden_size": "dim",
        "intermediate_size": "hidden_dim",
        "num_attention_heads": "n_heads",
    },
    masked_lm_head=None,
)
ALBERT = Architecture(
    model_type="albert",
    embeddings=("embeddings", "encoder.embedding_hidden_mapping_in"),
    tables=BERT.tables,
    projection="encoder.embedding_hidden_mapping_in",
    layers=None,
    longest=positions,
    unused=("pooler",),
)
MOBILEBERT = replace(BERT, model_type="mobilebert", narrower=False, masked_lm_head=None)
ESM = replace(ROBERTA, model_type="esm", longest=_esm, narrower=False, unused=("pooler", "contact_head"))

# Rotary positions, layers in `layers`.
MODERNBERT = Architecture(
    model_type="modernbert",
    embeddings=("embeddings",),
    tables=("embeddings.tok_embeddings",),
    layers="layers",
    longest=positions,
    window=_modernbert_window,
)
NOMIC_BERT = replace(BERT, model_type="nomic_bert", layers="layers", masked_lm_head=None)
GTE = replace(ROBERTA, model_type="gte", layers="layers", longest=positions)
EUROBERT = Architecture(
    model_type="eurobert",
    embeddings=("embed_tokens",),
    tables=("embed_tokens",),
    layers="layers",
    longest=positions,
)

# Attention of their own, which gives no scores before softmax.
MPNET = replace(BERT, model_type="mpnet", longest=_mpnet, unused=("pooler",), scores=False, masked_lm_head=None)
DEBERTA = replace(ROBERTA, model_type="deberta", longest=positions, unused=(), scores=False, half=False)

FAMILIES = (
    BERT,
    ROBERTA,
    replace(ROBERTA, model_type="xlm-roberta"),
    replace(ROBERTA, model_type="camembert"),
    ELECTRA,
    DISTILBERT,
    ALBERT,
    replace(BERT, model_type="ernie", masked_lm_head=None),
    MOBILEBERT,
    ESM,
    MODERNBERT,
    NOMIC_BERT,
    GTE,
    replace(GTE, model_type="jina_embeddings_v3", narrower=False),
    EUROBERT,
    MPNET,
    DEBERTA,
    replace(DEBERTA, model_type="deberta-v2", projection="embeddings.embed_proj", half=True),
    replace(BERT, model_type="megatron-bert", scores=False, masked_lm_head=None),
)
