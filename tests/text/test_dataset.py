"""A task's data, prepared: snippets, GLUE and the user's own tables become the same kind of folder."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from confidistill.errors import UserError
from confidistill.text.dataset import TaskData, prepare
from confidistill.text.snippets import read_snippets
from confidistill.text.splits import hold_out
from tests.shared import SHARED, needs

GLUE = SHARED / "glue"


def data(**fields):
    return TypeAdapter(TaskData).validate_python({"source": "any"} | fields)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


SNIPPETS = "1_1\t-2.5\tdull .\n1_2\t0.0\tneither .\n1_3\t0.4\tbarely good\n2_1\t3.1\tsuperb , really\n2_2\t-0.5\tweak\n"


def test_snippets_are_labelled_by_the_sign_of_their_rating(tmp_path):
    (tmp_path / "s.txt").write_text(SNIPPETS)
    assert read_snippets(tmp_path / "s.txt", 0.5).to_numpy().tolist() == [
        ["dull .", 0],
        ["superb , really", 1],
        ["weak", 0],
    ]
    assert read_snippets(tmp_path / "s.txt", 0.0)["text"].tolist() == [
        "dull .",
        "barely good",
        "superb , really",
        "weak",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\t2.0\n", "s.txt: line 1: 2 fields, needs 3"),
        (SNIPPETS + "3\tgood\tfine\n", "s.txt: line 6: rating 'good' is not a number"),
        ("1\t0.1\tneither\n", "s.txt: no sentence is rated 0.5 or more from 0: lower minimum_rating"),
        ("", "s.txt: empty"),
    ],
)
def test_bad_snippets_are_named(tmp_path, content, message):
    (tmp_path / "s.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        read_snippets(tmp_path / "s.txt", 0.5)


def test_snippets_are_split_and_counted(tmp_path):
    lines = [f"{index}\t{1 if index % 3 else -1}\ttext {index}\n" for index in range(60)]
    (tmp_path / "s.txt").write_text("".join(lines))
    films = data(format="snippets", file="s.txt", minimum_rating=0.5, train=30, dev=20, seed=1)
    prepare(films, tmp_path, tmp_path / "films")
    said = manifest(tmp_path / "films")
    assert said["label_names"] == ["negative", "positive"]
    assert {name: part["rows"] for name, part in said["splits"].items()} == {"train": 30, "dev": 20}
    train, dev = (pd.read_parquet(tmp_path / "films" / f"{name}.parquet") for name in ("train", "dev"))
    assert not set(train["text"]) & set(dev["text"])
    assert said["splits"]["train"]["label_counts"]["positive"] == train["label"].sum()


@needs("glue")
@pytest.mark.parametrize(("task", "partial"), [("RTE", False), ("QNLI", True)])
def test_a_partial_glue_file_is_announced(tmp_path, capsys, task, partial):
    prepare(data(format="glue", task=task, train_rows=None, seed=0), GLUE / task, tmp_path / task)
    said = manifest(tmp_path / task)["splits"]
    assert (said["train"]["partial"], said["dev"]["partial"]) == (partial, False)
    assert ("QNLI train: 12259 rows (PARTIAL: 104743 officially)" in capsys.readouterr().out) == partial


def rte(folder: Path, rows: int) -> Path:
    folder.mkdir()
    lines = [f"{index}\tfirst {index}\tsecond {index}\tentailment\n" for index in range(rows)]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "".join(lines))
    return folder


def test_train_rows_draw_a_seeded_subset(tmp_path):
    source = rte(tmp_path / "RTE", 50)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare(data(format="glue", task="RTE", train_rows=10, seed=seed), source, tmp_path / name)
    a, b, c = (pd.read_parquet(tmp_path / name / "train.parquet") for name in "abc")
    pd.testing.assert_frame_equal(a, b)
    assert len(a) == a["text"].nunique() == 10
    assert set(a["text"]) != set(c["text"])
    assert manifest(tmp_path / "a")["splits"]["train"]["partial"] is True
    assert len(pd.read_parquet(tmp_path / "a" / "dev.parquet")) == 50
    with pytest.raises(UserError, match="RTE: train has 50 rows, train_rows asks for 51"):
        prepare(data(format="glue", task="RTE", train_rows=51, seed=0), source, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_sts_b_is_refused_with_the_reason():
    with pytest.raises(ValidationError, match="STS-B is a regression task: it has no classes"):
        data(format="glue", task="STS-B", train_rows=None, seed=0)
    with pytest.raises(ValidationError, match="unknown GLUE task 'SST2': known are SST-2, RTE"):
        data(format="glue", task="SST2", train_rows=None, seed=0)


OWN = {"format": "table", "train": "train.csv", "dev": "dev.csv", "text": "body", "text_pair": None, "label": "stars"}


def test_own_tables_share_their_labels(tmp_path):
    (tmp_path / "train.csv").write_text("body,stars\n" + 2 * "fine,three\ngreat,two\nawful,one\n")
    (tmp_path / "dev.csv").write_text("body,stars\nso so,one\n")
    prepare(data(**OWN), tmp_path, tmp_path / "own")
    assert manifest(tmp_path / "own")["label_names"] == ["one", "three", "two"]
    assert pd.read_parquet(tmp_path / "own" / "train.parquet")["label"].tolist() == 2 * [1, 2, 0]
    assert pd.read_parquet(tmp_path / "own" / "dev.parquet")["label"].tolist() == [0]


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        ("fine,a\n\n\nbad,b\nso,a\n", "so,a\n", "train.csv: line 5: the only row of class 'b'"),
        ("fine,good\n", "so so,good\n", "train.csv: a single class, 'good': a classifier needs at least two"),
        (
            2 * "fine,good\nawful,bad\n",
            "so so,mixed\n",
            "dev.csv: line 2: unknown label 'mixed': the labels are bad, good",
        ),
    ],
)
def test_own_tables_that_cannot_be_classified(tmp_path, train, dev, message):
    (tmp_path / "train.csv").write_text("body,stars\n" + train)
    (tmp_path / "dev.csv").write_text("body,stars\n" + dev)
    with pytest.raises(UserError, match=message):
        prepare(data(**OWN), tmp_path, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_a_table_is_split_class_by_class_and_no_text_is_in_both(tmp_path):
    rows = [f"text {index},{'abc'[min(index % 10, 2)]}" for index in range(100)]
    (tmp_path / "mine.csv").write_text("\n".join(["body,stars", *rows, "Text  7,c", "text 7,c"]) + "\n")
    own = data(**OWN | {"train": "mine.csv", "dev": {"share": 0.2, "seed": 1}})
    for folder in ("first", "second"):
        prepare(own, tmp_path / "mine.csv", tmp_path / folder)
    assert (tmp_path / "first" / "dev.parquet").read_bytes() == (tmp_path / "second" / "dev.parquet").read_bytes()
    train, dev = (pd.read_parquet(tmp_path / "first" / f"{name}.parquet") for name in ("train", "dev"))
    assert len(train) + len(dev) == 102
    assert dev.drop_duplicates("text")["label"].value_counts().sort_index().tolist()[:2] == [2, 2]
    assert not set(train["text"].str.lower().str.split().str.join(" ")) & set(dev["text"].str.lower())


def test_pairs_of_one_sentence_may_fall_apart_but_no_pair_is_in_both():
    table = pd.DataFrame({"text": ["same"] * 50, "text_pair": [f"{i % 25}" for i in range(50)], "label": [0, 1] * 25})
    held = hold_out(table, share=0.5, seed=3, name="x")
    assert sum(map(len, held.values())) == 50
    assert not set(held["train"]["text_pair"]) & set(held["dev"]["text_pair"])
    with pytest.raises(UserError, match=r"x: too few rows to draw 0.1 of them for dev"):
        hold_out(table[:4], share=0.1, seed=3, name="x")
