"""A user's own table: four kinds of file give the same rows, and what is wrong is named with its line."""

import json
from pathlib import Path

import pandas as pd
import pytest

from confidistill.errors import UserError
from confidistill.text.table import encode_labels, read_table

TEXTS = ["good, really good", 'he said "no"', "two\nlines", "NA"]
LABELS = ["yes", "no", "no", "yes"]


def read(path: Path) -> pd.DataFrame:
    return read_table(path, text="body", text_pair=None, label="stars")


def write(folder: Path, kind: str, *, mark: str = "", line_end: str = "\n") -> Path:
    path = folder / f"train.{kind}"
    if kind == "parquet":
        pd.DataFrame({"body": TEXTS, "stars": LABELS}).to_parquet(path)
        return path
    if kind == "jsonl":
        lines = [json.dumps({"body": text, "stars": label}) for text, label in zip(TEXTS, LABELS, strict=True)]
    else:
        separator = {"csv": ",", "tsv": "\t"}[kind]
        quoted = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
        lines = [f"body{separator}stars", *map(separator.join, zip(quoted, LABELS, strict=True))]
    path.write_bytes((mark + "".join(line + line_end for line in lines)).encode())
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_four_kinds_of_file_give_the_same_rows(tmp_path, kind):
    table = read(write(tmp_path, kind))
    assert table["text"].tolist() == TEXTS
    assert table["label"].tolist() == LABELS


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_byte_order_mark_and_windows_line_ends(tmp_path, kind):
    assert read(write(tmp_path, kind, mark="\ufeff", line_end="\r\n"))["text"].tolist() == TEXTS


def test_pairs_and_labels_that_are_numbers(tmp_path):
    table = pd.DataFrame({"a": ["x", "y"], "b": ["z", "w"], "class": [1, 0], "other": [None, 3.5]})
    for path in (tmp_path / "t.parquet", tmp_path / "t.jsonl", tmp_path / "t.csv"):
        if path.suffix == ".parquet":
            table.to_parquet(path)
        elif path.suffix == ".jsonl":
            table.to_json(path, orient="records", lines=True)
        else:
            table.to_csv(path, index=False)
        found = read_table(path, text="a", text_pair="b", label="class")
        assert found.to_dict("list") == {"text": ["x", "y"], "text_pair": ["z", "w"], "label": ["1", "0"]}


HEAD = "body,stars\ngood,yes\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        # pandas.read_csv would fill the first of these with NaN, and shift the columns of the second.
        ("t.csv", HEAD + "bad\n", "line 3: 1 fields, the header has 2: quote a field that holds the separator"),
        ("t.csv", HEAD + "bad,no,extra\n", "line 3: 3 fields, the header has 2"),
        ("t.csv", '"body","stars"\n"two\nlines","no"\nbad\n', "line 4: 1 fields, the header has 2"),
        ("t.csv", HEAD + ",no\n", "line 3, column 'body': empty: fill it or remove the row"),
        ("t.csv", HEAD + "   ,no\n", "line 3, column 'body': empty"),
        ("t.csv", HEAD + "bad,\n", "line 3, column 'stars': empty"),
        ("t.csv", HEAD + '"never closed,no\n', "line 3: unexpected end of data: check the quotes"),
        ("t.csv", HEAD + '"good" film,no\n', "line 3: ',' expected after '\"': check the quotes"),
        ("t.csv", HEAD.encode() + b"caf\xe9,no\n", "line 3: not UTF-8: convert the file to UTF-8"),
        ("t.csv", "", "empty: it has no row"),
        ("t.csv", "body,stars\n", "empty: it has no row"),
        ("t.csv", "text,stars\ngood,yes\n", "no column 'body': it has text, stars"),
        ("t.csv", "body,body\ngood,yes\n", "line 1: column 'body' stands there twice"),
        ("t.tsv", "body\tstars\ngood\n", "line 2: 1 fields, the header has 2"),
        ("t.jsonl", '{"body": "good", "stars": 1}\n{"body": "bad"}\n', "line 2, column 'stars': empty"),
        ("t.jsonl", '{"body": "good", "stars": 1}\n\n{"body": \n', "line 3: not JSON: Expecting value"),
        ("t.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("t.jsonl", b'{"body": "caf\xe9", "stars": 1}\n', "line 1: not UTF-8"),
        ("t.parquet", "body,stars\n", "not a Parquet file: "),
        ("t.xlsx", "", "kind '.xlsx' is not supported: use .csv, .tsv, .jsonl, .parquet"),
        ("t.csv", None, "no such file"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_a_missing_cell_of_parquet_is_named_with_its_row(tmp_path):
    pd.DataFrame({"body": ["good", None], "stars": [1, 0]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t.parquet: row 2, column 'body': empty"):
        read(tmp_path / "t.parquet")


def test_labels_become_ids_in_the_order_of_the_names(tmp_path):
    table = encode_labels(read(write(tmp_path, "csv")), ["yes", "no"], tmp_path / "train.csv")
    assert table["label"].tolist() == [0, 1, 1, 0]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_an_unknown_label_is_named_with_its_line(tmp_path):
    path = write(tmp_path, "csv")  # its third row ends on line 5: a text of two lines
    path.write_text(path.read_text().replace('lines",no', 'lines",maybe'))
    with pytest.raises(UserError, match=r"train.csv: line 5: unknown label 'maybe': the labels are no, yes"):
        encode_labels(read(path), ["no", "yes"], path)


def test_a_nul_byte_and_a_column_asked_for_twice_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("body,stars\nfine,good\naw\0ful,bad\n")
    with pytest.raises(UserError, match=r"mine\.csv: line 3, column 'body': has a NUL byte"):
        read_table(path, text="body", text_pair=None, label="stars")
    with pytest.raises(UserError, match="text, text_pair, label must be columns of their own, not body, body, stars"):
        read_table(path, text="body", text_pair="body", label="stars")
