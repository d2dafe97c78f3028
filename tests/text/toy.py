"""A vocabulary, a tokenizer and word vectors small enough to reason about by hand."""

from pathlib import Path

import numpy as np
from transformers import BertTokenizerFast

from confidistill.augmentation.vectors import WordVectors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ANIMALS = ["cat", "dog", "horse", "mouse", "bird", "fish"]
VERBS = ["sleeps", "eats", "runs", "sings"]
PIECES = ["the", "a", "not", "and", ".", ",", "'", "t", "2", "snow", "##man", "##fall", *ANIMALS, *VERBS]


def tokenizer(folder: Path, *, lowercase: bool = True) -> BertTokenizerFast:
    """A BERT tokenizer over PIECES, saved in `folder`; `snowman` and `snowfall` are two pieces each."""
    vocab = {piece: index for index, piece in enumerate(SPECIAL + PIECES)}
    BertTokenizerFast(vocab=vocab, do_lower_case=lowercase).save_pretrained(folder)
    made = BertTokenizerFast.from_pretrained(folder)
    assert len(made) == len(vocab)
    return made


def vectors() -> WordVectors:
    """Animals on one arc, verbs on another, at right angles: neighbours stay within their kind."""
    words = [*ANIMALS, *VERBS, "snowman", "snowfall", "the"]
    angle = np.linspace(0, 1, len(words))
    matrix = np.zeros((len(words), 4), dtype=np.float32)
    for row, word in enumerate(words):
        plane = 0 if word in ANIMALS else 2
        matrix[row, plane : plane + 2] = np.cos(angle[row]), np.sin(angle[row])
    return WordVectors(words, matrix)
