"""Transfer text: whatever is not in the task's own data, each text once, no labels."""

from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from confidistill.errors import UserError
from confidistill.text.transfer import Transfer, read_transfer, unseen


def spec(**fields):
    return TypeAdapter(Transfer).validate_python({"source": "s", **fields})


def test_a_text_of_the_task_is_left_out_up_to_case_and_spaces():
    text = pd.DataFrame({"text": ["New one", "seen  in DEV", "new ONE", "Seen in train", "another"]})
    splits = [pd.DataFrame({"text": ["seen in train"]}), pd.DataFrame({"text": ["Seen in dev"]})]
    assert unseen(text, splits, "t")["text"].tolist() == ["New one", "another"]


def test_nothing_left_and_pairs_for_singles_are_refused():
    one = pd.DataFrame({"text": ["a"]})
    with pytest.raises(UserError, match=r"^t: every text is in the task's own data"):
        unseen(one, [one], "t")
    with pytest.raises(UserError, match=r"^t: text_pair must be given if and only if"):
        unseen(one.assign(text_pair="b"), [one], "t")


def test_snippets_of_any_rating_and_tables(tmp_path: Path):
    (tmp_path / "a.txt").write_text("1\t0.0\tneither\n2\t-3.1\tbad one\n")
    found = read_transfer(spec(format="snippets", file="a.txt"), tmp_path)
    assert found["text"].tolist() == ["neither", "bad one"]
    (tmp_path / "c.txt").write_text("1\t2.0\tgood one\n")
    both = read_transfer(spec(format="snippets", file=["c.txt", "a.txt"]), tmp_path)
    assert both["text"].tolist() == ["good one", "neither", "bad one"]
    with pytest.raises(UserError, match=r"a.txt: one file, no folder with c.txt and a.txt"):
        read_transfer(spec(format="snippets", file=["c.txt", "a.txt"]), tmp_path / "a.txt")
    (tmp_path / "b.csv").write_text("body,other,stars\none,two,5\n")
    table = read_transfer(spec(format="table", file="b.csv", text="body", text_pair="other"), tmp_path)
    assert table.to_dict("records") == [{"text": "one", "text_pair": "two"}]
    with pytest.raises(UserError, match="no column 'title'"):
        read_transfer(spec(format="table", file="b.csv", text="title", text_pair=None), tmp_path)
