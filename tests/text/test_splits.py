"""Splits: seeded, of the sizes asked for, no text in both, and a manifest that says what is in them."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confidistill.errors import UserError
from confidistill.text.splits import normalised, split, write_task


def table(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "label": [index % 2 for index in range(len(texts))]})


@settings(max_examples=50)
@given(
    texts=st.lists(st.sampled_from(["A cat", "a  CAT ", "b", "B", "c", "d", "e", "f", "g", "h", "i"]), min_size=8),
    seed=st.integers(0, 1000),
)
def test_no_text_is_in_both_and_none_is_twice(texts, seed):
    rows = table(texts)
    distinct = normalised(rows["text"]).nunique()
    if distinct < 3:
        return
    parts = split(rows, train=None, dev=2, seed=seed, name="t")
    train, dev = (normalised(parts[name]["text"]) for name in ("train", "dev"))
    assert (len(train), len(dev)) == (distinct - 2, 2)
    assert not set(train) & set(dev)
    assert train.is_unique


def test_the_seed_decides_and_rows_keep_their_labels():
    rows = table([f"text {index}" for index in range(40)])
    first = split(rows, train=20, dev=10, seed=1, name="t")
    again = split(rows, train=20, dev=10, seed=1, name="t")
    other = split(rows, train=20, dev=10, seed=2, name="t")
    assert {name: len(part) for name, part in first.items()} == {"train": 20, "dev": 10}
    for name in first:
        pd.testing.assert_frame_equal(first[name], again[name])
    assert set(first["dev"]["text"]) != set(other["dev"]["text"])
    labels = dict(zip(rows["text"], rows["label"], strict=True))
    assert all(labels[text] == label for part in first.values() for text, label in part.to_numpy())


def test_dev_does_not_depend_on_how_much_is_trained_on():
    rows = table([f"text {index}" for index in range(40)])
    few, all_of_it = (split(rows, train=train, dev=10, seed=3, name="t")["dev"] for train in (5, None))
    pd.testing.assert_frame_equal(few, all_of_it)


def test_too_few_rows_are_said():
    with pytest.raises(UserError, match="films: 3 distinct rows, 5 asked for: lower `train` or `dev`"):
        split(table(["a", "b", "c", "C "]), train=3, dev=2, seed=0, name="films")


def test_the_manifest_says_what_is_there(tmp_path, capsys):
    splits = {"train": table(["a", "b", "c"]), "dev": table(["d"])}
    about = {"train": {"official_rows": 10, "partial": True}, "dev": {"official_rows": 1, "partial": False}}
    write_task(splits, tmp_path / "films", label_names=("bad", "good"), about=about)
    manifest = json.loads((tmp_path / "films" / "manifest.json").read_text())
    assert manifest["label_names"] == ["bad", "good"]
    assert manifest["splits"]["train"] == {
        "rows": 3,
        "label_counts": {"bad": 2, "good": 1},
        "majority": 0.6667,
        "official_rows": 10,
        "partial": True,
    }
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "films" / "train.parquet"), splits["train"])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "films train: 3 rows (PARTIAL: 10 officially), majority class 0.667",
        "films dev: 1 rows, majority class 1.000",
    ]
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == [
        "dev.parquet",
        "manifest.json",
        "train.parquet",
    ]
