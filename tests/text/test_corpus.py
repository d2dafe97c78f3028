"""The corpus: paragraphs as they stand in the files, one after the other, packed into sequences of one length."""

from itertools import chain, count, islice

import pandas as pd
import pytest

from confidistill.errors import UserError
from confidistill.text.corpus import TOKENIZED_TOGETHER, pack, paragraphs
from tests.text.toy import tokenizer


def test_a_folder_is_read_in_order_of_its_names(tmp_path):
    (tmp_path / "b.txt").write_bytes("\ufefffirst\r\n\r\n  second \n".encode())
    (tmp_path / "c.txt").write_text("1_1\t-0.5\trated text\nlast")
    (tmp_path / "readme.md").write_text("not text of the corpus\n")
    (tmp_path / "a").mkdir()
    pd.DataFrame({"text": ["one\n\ntwo", None, "three"], "title": ["x", "y", "z"]}).to_parquet(
        tmp_path / "a" / "w.parquet"
    )
    assert list(paragraphs(tmp_path)) == ["one", "two", "three", "first", "second", "rated text", "last"]
    assert list(paragraphs(tmp_path / "b.txt")) == ["first", "second"]


def test_reading_is_lazy(tmp_path):
    # The second line is not UTF-8: whoever takes one paragraph never meets it.
    (tmp_path / "a.txt").write_bytes(b"first\ncaf\xe9\n")
    lines = paragraphs(tmp_path)
    assert next(lines) == "first"
    with pytest.raises(UserError, match=r"a.txt: line 2: not UTF-8: convert the file to UTF-8"):
        next(lines)


def test_packing_takes_no_more_than_it_needs(tmp_path):
    """An endless corpus: the first sequences come all the same."""
    taken = []
    endless = (taken.append(number) or "the cat sleeps" for number in count())
    sequences = list(islice(pack(tokenizer(tmp_path), endless, 16), 3))
    assert [len(sequence) for sequence in sequences] == [16, 16, 16]
    assert len(taken) == TOKENIZED_TOGETHER


@pytest.mark.parametrize("length", [3, 7, 16])
def test_sequences_have_the_length_and_hold_the_text_in_order(tmp_path, length):
    loaded = tokenizer(tmp_path)
    texts = ["the cat sleeps", "a dog eats the fish .", "snowman"] * 5
    ids = list(chain.from_iterable(loaded(text, add_special_tokens=False)["input_ids"] for text in texts))
    sequences = list(pack(loaded, texts, length))
    assert {len(sequence) for sequence in sequences} == {length}
    assert {(sequence[0], sequence[-1]) for sequence in sequences} == {(loaded.cls_token_id, loaded.sep_token_id)}
    packed = list(chain.from_iterable(sequence[1:-1] for sequence in sequences))
    assert packed == ids[: len(packed)]
    assert len(ids) - len(packed) < length - 2


def test_the_batch_of_tokenizing_leaves_no_trace(tmp_path, monkeypatch):
    loaded = tokenizer(tmp_path)
    texts = ["the cat sleeps", "a dog eats the fish ."] * 10
    whole = list(pack(loaded, texts, 9))
    monkeypatch.setattr("confidistill.text.corpus.TOKENIZED_TOGETHER", 3)
    assert list(pack(loaded, texts, 9)) == whole


def test_an_unusable_corpus_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no .txt or .parquet file"):
        list(paragraphs(tmp_path))
    pd.DataFrame({"body": ["a"]}).to_parquet(tmp_path / "w.parquet")
    with pytest.raises(UserError, match=r"w.parquet: no column 'text': it has body"):
        list(paragraphs(tmp_path))
    with pytest.raises(UserError, match="a length of 2 tokens leaves no room"):
        list(pack(tokenizer(tmp_path / "toy"), ["the cat"], 2))


def test_a_tokenizer_without_cls_and_sep_has_bos_and_eos(tmp_path):
    """EuroBERT's, say."""
    loaded = tokenizer(tmp_path)
    cls, sep = loaded.cls_token_id, loaded.sep_token_id
    loaded.cls_token = loaded.sep_token = None
    with pytest.raises(UserError, match=r"has no \[CLS\] and \[SEP\]"):
        list(pack(loaded, ["the cat"], 3))
    loaded.bos_token, loaded.eos_token = "[CLS]", "[SEP]"
    assert {(row[0], row[-1]) for row in pack(loaded, ["the cat sleeps"], 3)} == {(cls, sep)}
