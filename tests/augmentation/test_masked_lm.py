"""Masked-LM candidates against the plain computation, one sentence and one mask at a time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import replaceable
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.errors import UserError
from tests.shared import SHARED, needs
from tests.text import toy

CONFIG = BertConfig(
    vocab_size=len(toy.SPECIAL + toy.PIECES), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=32, max_position_embeddings=24,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random masked LM over the toy vocabulary."""
    path = tmp_path_factory.mktemp("mlm")
    torch.manual_seed(0)
    BertForMaskedLM(CONFIG).save_pretrained(path)
    toy.tokenizer(path)
    return path


def plain(folder: Path, sentence: str, position: int) -> tuple[np.ndarray, BertTokenizerFast]:
    """Logits (V,) at the `position`-th piece, masked, of `sentence`, by the tokenizer's own pair encoding."""
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    model = BertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    ids = tokenizer(sentence, sentence, truncation=False, return_tensors="pt")
    ids["input_ids"][0, position + 1] = tokenizer.mask_token_id
    with torch.no_grad():
        return model(**ids).logits[0, position + 1].numpy(), tokenizer


def assert_likeliest(candidates: list[str], logits: np.ndarray, tokenizer: BertTokenizerFast, count: int) -> None:
    """`candidates` are the `count` highest logits in order, less continuations and special tokens."""
    top = np.argsort(-logits, kind="stable")[:count]
    tokens = tokenizer.convert_ids_to_tokens(top.tolist())
    kept = [not token.startswith("##") and token not in tokenizer.all_special_tokens for token in tokens]
    ours = logits[tokenizer.convert_tokens_to_ids(candidates)]
    np.testing.assert_allclose(ours, logits[top][kept], atol=1e-4)  # equal but for near-ties


def test_candidates_equal_the_plain_computation(folder: Path) -> None:
    masked_lm = MaskedLM(folder)
    words = ["the", "cat", "eats", "the", "fish", "."]
    found = masked_lm.candidates(masked_lm.pieces(words), [1, 2, 4], 8)
    for position, candidates in zip([1, 2, 4], found, strict=True):
        logits, tokenizer = plain(folder, " ".join(words), position)
        assert candidates
        assert_likeliest(candidates, logits, tokenizer, 8)


def test_continuations_and_special_tokens_are_dropped(folder: Path) -> None:
    masked_lm = MaskedLM(folder)
    everything = masked_lm.candidates(masked_lm.pieces(["the", "cat"]), [1], 100)[0]
    assert sorted(everything) == sorted(piece for piece in toy.PIECES if not piece.startswith("##"))


def test_pieces_of_words(folder: Path) -> None:
    masked_lm = MaskedLM(folder)
    names = [
        masked_lm.tokenizer.convert_ids_to_tokens(pieces)
        for pieces in masked_lm.pieces(["Cat", "snowman", "zebra", "[SEP]"])
    ]
    assert names == [["cat"], ["snow", "##man"], ["[UNK]"], ["[UNK]"]]


def test_words_beyond_the_last_position_have_no_candidates(folder: Path) -> None:
    masked_lm = MaskedLM(folder)
    words = ["cat"] * 40  # the model ends at position 23; position 0 is [CLS]
    found = masked_lm.candidates(masked_lm.pieces(words), list(range(40)), 5)
    assert [bool(candidates) for candidates in found] == [True] * 23 + [False] * 17
    long_but_whole = ["cat"] * 15  # 15 + 15 + 3 positions: the second segment is cut
    assert all(masked_lm.candidates(masked_lm.pieces(long_but_whole), list(range(15)), 5))


def test_a_long_sentence_is_split_over_several_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masked_lm = MaskedLM(folder)
    pieces = masked_lm.pieces(["the", "cat", "eats", "a", "fish"])
    at_once = masked_lm.candidates(pieces, [0, 1, 2, 3, 4], 5)
    monkeypatch.setattr("confidistill.augmentation.masked_lm._TOKENS", 1)
    assert masked_lm.candidates(pieces, [0, 1, 2, 3, 4], 5) == at_once


def test_a_sentence_without_words_to_mask(folder: Path) -> None:
    assert MaskedLM(folder).candidates([], [], 5) == []


def test_folders_that_are_no_masked_lm(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        MaskedLM(tmp_path)

    encoder = tmp_path / "encoder"
    BertModel(CONFIG).save_pretrained(encoder)  # its masked-LM head would be random
    toy.tokenizer(encoder)
    with pytest.raises(UserError, match="weights are missing"):
        MaskedLM(encoder)

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    with pytest.raises(UserError, match=r"a 'roberta' cannot vary text: models.mlm must be a 'bert'"):
        MaskedLM(other)

    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="no weights in safetensors"):
        MaskedLM(pickled)


@needs("models/mlm-tiny")
def test_candidates_of_real_sentences() -> None:
    """The first rows of RTE: every single-piece word, against the plain computation."""
    folder = SHARED / "models" / "mlm-tiny"
    masked_lm = MaskedLM(folder)
    sentences = pd.read_csv(SHARED / "glue" / "RTE" / "train.tsv", sep="\t", quoting=3, nrows=3)["sentence2"]
    checked = 0
    for sentence in sentences:
        words = BERT.words(masked_lm.tokenizer, sentence)
        pieces = masked_lm.pieces(words)
        single = [position for position in replaceable(words) if len(pieces[position]) == 1]
        starts = np.cumsum([0, *(len(word) for word in pieces)])
        for position, candidates in zip(single, masked_lm.candidates(pieces, single, 15), strict=True):
            logits, tokenizer = plain(folder, sentence, int(starts[position]))
            assert_likeliest(candidates, logits, tokenizer, 15)
            checked += 1
    assert checked >= 8
