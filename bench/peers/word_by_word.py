"""Augmentation in the reference's way, TinyBERT's data_augmentation.py: one word at a time, nothing remembered.

A word of one piece is masked in its sentence and the masked LM run on that alone, all tokens of the vocabulary sorted;
another word is compared with all vectors, all of them sorted.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import replaceable
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.augmentation.vectors import WordVectors


def augment(
    table: pd.DataFrame,
    *,
    tokenizer: PreTrainedTokenizerBase,
    vectors: WordVectors,
    masked_lm: MaskedLM | None,
    variants: int,
    candidates: int,
    probability: float,
    seed: int,
) -> Iterator[dict[Any, Any]]:
    """The rows of `table`, each followed by its variants."""
    random = np.random.default_rng(seed)
    for row in table.to_dict("records"):
        yield row
        for column in [name for name in ("text", "text_pair") if name in row]:
            words = BERT.words(tokenizer, row[column])
            found = {at: _candidates(words, at, vectors, masked_lm, candidates) for at in replaceable(words)}
            seen = {" ".join(words)}
            for _ in range(variants):
                variant = list(words)
                for at, choices in found.items():
                    if choices and random.random() < probability:
                        variant[at] = choices[random.integers(len(choices))]
                text = " ".join(variant)
                if text not in seen:
                    seen.add(text)
                    yield row | {column: text}


def _candidates(words: list[str], at: int, vectors: WordVectors, masked_lm: MaskedLM | None, count: int) -> list[str]:
    if masked_lm is not None and len(masked_lm.pieces([words[at]])[0]) == 1:
        return _likeliest(words, at, masked_lm, count)
    return _nearest(words[at].lower(), vectors, count)


@torch.inference_mode()
def _likeliest(words: list[str], at: int, masked_lm: MaskedLM, count: int) -> list[str]:
    tokenizer = masked_lm.tokenizer
    pieces = masked_lm.pieces(words)
    sentence = [piece for word in pieces for piece in word]
    masked = [piece for word in pieces[:at] for piece in word]
    place = 1 + len(masked)
    masked += [tokenizer.mask_token_id, *sentence[len(masked) + 1 :]]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = [cls, *masked, sep, *sentence, sep][: masked_lm.longest]
    if place >= len(ids):
        return []
    segments = [int(position > len(sentence) + 1) for position in range(len(ids))]
    scores = masked_lm.model(
        input_ids=torch.tensor([ids]).to(masked_lm.device), token_type_ids=torch.tensor([segments]).to(masked_lm.device)
    ).logits[0, place]  # (V,), of (1, T, V)
    best = tokenizer.convert_ids_to_tokens(torch.argsort(scores, descending=True)[:count].tolist())
    return [token for token in best if not token.startswith("##") and token not in masked_lm.special]


def _nearest(word: str, vectors: WordVectors, count: int) -> list[str]:
    if word not in vectors.row:
        return []
    own = vectors.row[word]
    cosines = vectors.matrix @ vectors.matrix[own]
    cosines[own] = -np.inf
    return [vectors.words[row] for row in np.argsort(-cosines)[:count]]
