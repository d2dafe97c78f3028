"""A tokenizer whose file carries padding and truncation, as MiniLM's does, gives neither."""

import json

import pytest

from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.text.toy import tokenizer


@pytest.fixture
def folder(tmp_path):
    """A tokenizer folder whose tokenizer.json pads and truncates to 12 tokens."""
    tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": None}
    content["padding"] = padding | {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    path.write_text(json.dumps(content))
    return tmp_path


def test_nothing_is_padded(folder):
    assert len(load_tokenizer(folder)(["the cat sleeps"])["input_ids"][0]) == 5  # [CLS] the cat sleeps [SEP]


def test_nothing_is_cut_unless_asked(folder):
    loaded = load_tokenizer(folder)
    long = " ".join(["cat"] * 40)
    assert len(loaded([long])["input_ids"][0]) == 42
    assert len(loaded([long], truncation=True, max_length=8)["input_ids"][0]) == 8


def test_pairs_carry_their_segments(folder):
    encoded = load_tokenizer(folder)(["the cat"], ["a dog runs"])
    assert encoded["token_type_ids"][0] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_folder_without_a_fast_tokenizer_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer.json: no such file: the model folder must hold a fast tokenizer"):
        load_tokenizer(tmp_path)
