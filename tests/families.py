"""A tiny random model of every family, with the words of `tests.tiny`."""

from pathlib import Path

from confidistill.architectures import ARCHITECTURES
from tests import tiny

RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
# What a family asks for besides the sizes.
SPECIAL = {
    **{name: {"type_vocab_size": 1} for name in ("roberta", "xlm-roberta", "camembert")},
    "electra": {"embedding_size": 4},
    "albert": {"embedding_size": 4},
    "mobilebert": {
        "embedding_size": 16,
        "intra_bottleneck_size": 8,
        "true_hidden_size": 8,
        "num_feedforward_networks": 2,
    },
    "esm": {"mask_token_id": 4},
    "modernbert": {
        "local_attention": 4,
        "layer_types": ["full_attention", "sliding_attention"],
        **{f"{name}_token_id": 0 for name in ("cls", "sep", "bos", "eos")},
    },
    "eurobert": {"num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3},
    "deberta": RELATIVE,
    "deberta-v2": RELATIVE | {"position_buckets": 8, "share_att_key": True, "norm_rel_ebd": "layer_norm"},
}


def config(model_type: str, *, vocabulary: int = 90, layers: int = 2, **changes):
    """A configuration of 2 layers of 16, 4 heads, of which EuroBERT's keys have 2; ModernBERT's second layer is local.

    A new one each time: a model writes its attention into the one it was given.
    """
    from transformers import AutoConfig

    names = ARCHITECTURES[model_type].names
    sizes = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 32}
    special = SPECIAL.get(model_type, {}) | changes
    if "layer_types" in special:
        special["layer_types"] = special["layer_types"] * (layers // 2)
    return AutoConfig.for_model(
        model_type,
        vocab_size=vocabulary,
        max_position_embeddings=40,
        pad_token_id=0,
        initializer_range=0.2,  # large enough for scores that count
        **{names.get(name, name): size for name, size in sizes.items()},
        **special,
    )


def write_model(folder: Path, model_type: str, *, layers: int = 2) -> None:
    """A Hugging Face folder of such a model with a tokenizer of WordPiece."""
    import torch
    from transformers import AutoModel

    vocabulary = tiny.write_tokenizer(folder)
    torch.manual_seed(0)
    AutoModel.from_config(config(model_type, vocabulary=vocabulary, layers=layers)).save_pretrained(folder)
