"""BERT: learned positions, segments, a tanh pooler, WordPiece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confidistill.architectures.architecture import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def words(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """BERT's words before WordPiece: cleaned, in lower case if the tokenizer's are, split at punctuation."""
    backend = tokenizer.backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]


def pieces(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The WordPiece ids of a word."""
    backend = tokenizer.backend_tokenizer
    return [piece.id for piece in backend.model.tokenize(backend.normalizer.normalize_str(word))]


BERT = Architecture(
    model_type="bert",
    embeddings=("embeddings",),
    tables=("embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings"),
    layers="encoder.layer",
    unused=("pooler",),
    longest=lambda config: int(config.max_position_embeddings),
    masked_lm_head="cls",
    words=words,
    pieces=pieces,
    continues=lambda token: token.startswith("##"),
)
