"""Prediction files: what is read, and what is refused with file, row and column named."""

import gzip

import numpy as np
import pandas as pd
import pytest

from confidistill.confidence.prediction_files import read_pair, read_predictions, write_predictions
from confidistill.confidence.predictions import from_logits, softmax
from confidistill.errors import UserError

GOOD = "pred,p0,p1,label\n0,0.9,0.1,0\n1,0.2,0.8,1\n"


def write(folder, text, name="file.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        GOOD.replace(",", ", "),
        GOOD + "\n\n",
        '"pred","p0","p1","label"\n0,0.9,0.1,0\n1,0.2,0.8,1\n',
        "label,text,p1,p0\n0,bad,0.1,0.9\n1,good,0.8,0.2\n",
        'p0,p1,label,text\n0.9,0.1,0,"two\nlines, one text"\n0.2,0.8,1,"a ""quote"""\n',
        b"text,p0,p1,label\n\xff\xfe,0.9,0.1,0\nx,0.2,0.8,1\n",
    ],
    ids=["plain", "bom", "crlf", "cr", "no-last-newline", "spaces", "blank", "quoted", "order", "newline", "latin-1"],
)
def test_csv_as_found_in_the_wild(tmp_path, text):
    read = read_predictions(write(tmp_path, text))
    assert read.probabilities.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert read.labels.tolist() == [0, 1]
    assert read.logits is None and read.note is None


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_logits_win_over_probabilities_that_agree(tmp_path, suffix):
    path = tmp_path / f"file{suffix}"
    table = pd.DataFrame({"p0": [0.2498], "p1": [0.7502], "logit1": [np.log(3)], "logit0": 0, "label": 1, "text": "x"})
    table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path)
    read = read_predictions(path)
    assert read.logits == pytest.approx(np.array([[0, np.log(3)]]))
    assert read.probabilities == pytest.approx(np.array([[0.25, 0.75]]), abs=1e-12)
    table["p0"], table["p1"] = 0.5, 0.5
    table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path)
    with pytest.raises(UserError, match=r"row 1: p0 is 0\.5, the logits' softmax 0\.25: remove the columns"):
        read_predictions(path)


@pytest.mark.parametrize("name", ["f.csv.gz", "f.tsv", "f.jsonl", "f.jsonl.gz", "utf-16-le", "utf-16-be"])
def test_other_files_that_tables_come_in(tmp_path, name):
    path = tmp_path / (name if name.startswith("f.") else f"{name}.csv")
    table = pd.DataFrame({"p0": [0.9, 0.2], "p1": [0.1, 0.8], "label": [0, 1], "text": ["naïve", "x"]})
    if ".jsonl" in name:
        table.to_json(path, orient="records", lines=True)
    elif name.startswith("utf"):
        path.write_bytes(("\ufeff" + table.to_csv(index=False)).encode(name))
    else:
        table.to_csv(path, index=False, sep="\t" if name == "f.tsv" else ",")
    read = read_predictions(path)
    assert read.probabilities.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert read.labels.tolist() == [0, 1]


def test_p1_alone_is_of_two_classes(tmp_path):
    read = read_predictions(write(tmp_path, "p1,label\n0.25,0\n0.75,1\n"))
    assert read.probabilities.tolist() == [[0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("row", "exact"),
    [
        ("0.33,0.33,0.33", [1 / 3, 1 / 3, 1 / 3]),
        ("0.5,0.26,0.25", [0.5 / 1.01, 0.26 / 1.01, 0.25 / 1.01]),
        ("0.3333,0.3333,0.3333", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_rounded_probabilities_are_divided_by_their_sum(tmp_path, row, exact):
    read = read_predictions(write(tmp_path, f"p0,p1,p2,label\n{row},0\n0,0,1,2\n"))
    assert read.probabilities[0] == pytest.approx(exact)
    assert read.probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-15)
    assert "file.csv: 1 rows of rounded probabilities sum to" in read.note
    assert read.note.endswith("each row was divided by its sum")


def test_the_tolerance_grows_with_classes_and_digits(tmp_path):
    def of(probability: str, classes: int) -> str:
        names = ",".join(f"p{index}" for index in range(classes))
        return f"{names},label\n" + ",".join([probability] * classes) + ",0\n"

    assert read_predictions(write(tmp_path, of("0.17", 6))).note  # 1.02, and six roundings of 0.005 are 0.03
    with pytest.raises(UserError, match=r"row 1: p0 to p5 sum to 0\.96, not to 1"):
        read_predictions(write(tmp_path, of("0.16", 6)))
    with pytest.raises(UserError, match=r"row 1: p0 to p5 sum to 1\.0201, not to 1"):  # of four digits
        read_predictions(write(tmp_path, of("0.17", 6).replace("0.17", "0.1701", 1)))


def test_label_words_with_the_names_of_the_classes(tmp_path):
    path = write(tmp_path, "p0,p1,label\n0.9,0.1,bad\n0.2,0.8, good\n")
    assert read_predictions(path, classes=["bad", "good"]).labels.tolist() == [0, 1]
    assert read_predictions(path, classes=["good", "bad"]).labels.tolist() == [1, 0]
    assert read_predictions(write(tmp_path, GOOD), classes=["bad", "good"]).labels.tolist() == [0, 1]  # ids
    stars = write(tmp_path, "p0,p1,label\n0.9,0.1,1\n0.2,0.8,2\n")
    assert read_predictions(stars, classes=["1", "2"]).labels.tolist() == [0, 1]
    with pytest.raises(UserError, match="row 2, column 'label': unknown label '2': the labels are 0, 1"):
        read_predictions(stars, classes=["0", "1"])
    with pytest.raises(UserError, match="2 classes: name as many, each once, not a, b, c"):
        read_predictions(stars, classes=["a", "b", "c"])


def test_unlabelled_files_need_no_label_and_read_none(tmp_path):
    first, second = write(tmp_path, "p0,p1\n0.9,0.1\n", "a.csv"), write(tmp_path, "p0,p1,label\n0.8,0.2,?\n", "b.csv")
    teacher, student = read_pair(first, second, labelled=False)
    assert teacher.labels is None and student.labels is None
    with pytest.raises(UserError, match=r"a.csv: no column 'label'.*: add it, or judge --unlabelled"):
        read_pair(first, second)


def test_ten_classes_in_numerical_order(tmp_path):
    logits = np.arange(24.0).reshape(2, 12)
    columns = {f"logit{index}": logits[:, index] for index in sorted(range(12), key=str)}
    pd.DataFrame({**columns, "label": [0, 11]}).to_csv(tmp_path / "file.csv", index=False)
    assert np.array_equal(read_predictions(tmp_path / "file.csv").logits, logits)


def test_written_and_read_is_the_same(tmp_path):
    logits, labels = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), np.arange(20) % 3
    write_predictions(tmp_path / "file.csv", logits, labels)
    assert (tmp_path / "file.csv").read_text().splitlines()[0] == "pred,p0,p1,p2,logit0,logit1,logit2,label"
    read = read_predictions(tmp_path / "file.csv")
    assert np.array_equal(read.logits, from_logits(logits, labels).logits)
    assert np.array_equal(read.labels, labels)


def test_softmax_of_large_logits():
    assert softmax(np.array([[1e4, 1e4 - np.log(3)]])) == pytest.approx(np.array([[0.75, 0.25]]))
    assert softmax(np.array([[2.0, 0.0]]), gamma=0.5) == pytest.approx(softmax(np.array([[1.0, 0.0]])))


REFUSED = {
    "empty": ("", "no column 'label': its columns are none"),
    "header alone": ("pred,p0,p1,label\n", "no rows"),
    "no label": ("pred,p0,p1\n0,0.9,0.1\n", "no column 'label': its columns are pred, p0, p1"),
    "no probabilities": (
        "pred,label\n0,0\n",
        "no columns p0, p1, ... or logit0, logit1, ...: its columns are pred, label",
    ),
    "gap": ("p0,p2,label\n0.9,0.1,0\n", "no column 'p1', though there is 'p2'"),
    "twice": ("p0,p0,p1,label\n0.9,0.9,0.1,0\n", "two columns are named 'p0'"),
    "single class": ("p0,label\n1,0\n", "a single class, 'p0'"),
    "too few fields": (GOOD + "1,0.2,0.8\n", "row 3: 3 fields, not 4"),
    "too many fields": (GOOD + "1,0.2,0.8,1,1\n", "row 3: 5 fields, not 4"),
    "text": (GOOD + "1,high,low,1\n", "row 3, column 'p0': 'high' is not a number"),
    "no value": (GOOD + "1,0.2,,1\n", "row 3, column 'p1': empty or nan: give a finite number"),
    "NaN": (GOOD + "1,0.2,nan,1\n", "row 3, column 'p1': 'nan' is not a finite number"),
    "infinite": ("logit0,logit1,label\n1,2,0\n1,inf,0\n", "row 2, column 'logit1': inf is not a finite number"),
    "below 0": (GOOD + "1,-0.2,1.2,1\n", "row 3, column 'p0': -0.2 is outside 0 to 1"),
    "sum": (GOOD + "1,0.2,0.7,1\n", "row 3: p0 to p1 sum to 0.9, not to 1"),
    "label out of range": (GOOD + "1,0.2,0.8,2\n", "row 3, column 'label': 2 is not a class: use 0 to 1"),
    "negative label": (GOOD + "1,0.2,0.8,-1\n", "row 3, column 'label': -1 is not a class"),
    "fractional label": (GOOD + "1,0.2,0.8,0.5\n", "row 3, column 'label': 0.5 is not a class"),
    "text label": (
        GOOD + "1,0.2,0.8,positive\n",
        "row 3, column 'label': 'positive' is not a number: name the classes in",
    ),
    "no label value": (GOOD + "1,0.2,0.8,\n", "row 3, column 'label': empty or nan: give a finite number"),
    "boolean label": ("p0,p1,label\n0.9,0.1,false\n", "column 'label' is of type bool: store it as numbers"),
    "not UTF-8": (b"p0,p1,label\n0.9,0.1,0\n0.2,0.8,\xff\n", "row 2, column 'label': '\ufffd' is not a number"),
    "zip": (b"PK\x03\x04p0,p1,label\n0.9,0.1,0\n", "not text: give CSV, .tsv or .jsonl, each perhaps .gz, or .parquet"),
    "binary": (b"\x93NUMPY\0p0,p1,label\n0.9,0.1,0\n", "not text: give CSV"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError) as raised:
        read_predictions(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_the_header_that_is_shown_is_short(tmp_path):
    path = write(tmp_path, ",".join(f"column{index}" for index in range(10_000)) + "\n")
    with pytest.raises(UserError, match=r"no column 'label'.* \.\.\.: add it, or judge --unlabelled$") as raised:
        read_predictions(path)
    assert len(str(raised.value)) < 400 + len(str(path))


def test_lines_and_archives_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"f.jsonl: line 2: not JSON: "):
        read_predictions(write(tmp_path, '{"p0": 0.9, "p1": 0.1, "label": 0}\n{"p0"\n', "f.jsonl"))
    with pytest.raises(UserError, match=r"f.jsonl: line 1: not a JSON object"):
        read_predictions(write(tmp_path, "[1]\n", "f.jsonl"))
    with pytest.raises(UserError, match=r"f.jsonl: row 2, column 'p1': empty or nan"):
        read_predictions(write(tmp_path, '{"p0":1,"p1":0,"label":0}\n{"p0":1,"label":0}\n', "f.jsonl"))
    with pytest.raises(UserError, match=r"f.csv.gz: not a gzip file"):
        read_predictions(write(tmp_path, GOOD, "f.csv.gz"))
    with pytest.raises(UserError, match=r"f.csv.gz: not a gzip file, or a part of one"):
        read_predictions(write(tmp_path, gzip.compress(GOOD.encode())[:-9], "f.csv.gz"))


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_predictions(tmp_path / "file.csv")
    with pytest.raises(UserError, match="not a regular file"):
        read_predictions(tmp_path)
    with pytest.raises(UserError, match=r"file\.parquet: not a Parquet file"):
        read_predictions(write(tmp_path, GOOD, "file.parquet"))


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_parquet_is_refused(tmp_path, keep):
    path = tmp_path / "file.parquet"
    pd.DataFrame({"p0": [0.5] * 999, "p1": 0.5, "label": 0}).to_parquet(path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError, match="not a Parquet file"):
        read_predictions(path)


def test_text_in_a_parquet_is_refused(tmp_path):
    path = tmp_path / "file.parquet"
    pd.DataFrame({"p0": ["0.5", "?"], "p1": [0.5, 0.5], "label": [0, 0]}).to_parquet(path)
    with pytest.raises(UserError, match=r"row 2, column 'p0': '\?' is not a number"):
        read_predictions(path)


PAIRS = {
    "lengths": (GOOD + "0,0.7,0.3,0\n", "has 2 rows, {student} has 3"),
    "classes": ("p0,p1,p2,label\n0.9,0.1,0,0\n0.2,0.8,0,1\n", "has 2 classes, {student} has 3"),
    "labels": ("p0,p1,label\n0.9,0.1,0\n0.2,0.8,0\n", " and {student}: row 2: label 1 against 0 (1 rows differ)"),
}


@pytest.mark.parametrize(("text", "message"), PAIRS.values(), ids=PAIRS.keys())
def test_pairs_refused(tmp_path, text, message):
    teacher, student = write(tmp_path, GOOD, "teacher.csv"), write(tmp_path, text, "student.csv")
    with pytest.raises(UserError) as raised:
        read_pair(teacher, student)
    assert message.format(student=student) in str(raised.value)
    assert str(raised.value).startswith(str(teacher))


def test_a_row_far_into_a_large_file_is_named(tmp_path):
    # Beyond the first block, which is read on its own and decides the columns' types.
    rows = ["0.25,0.75,1"] * 200_000
    rows[150_000] = "0.25,0.75"
    with pytest.raises(UserError, match="row 150001: 2 fields, not 3"):
        read_predictions(write(tmp_path, "p0,p1,label\n" + "\n".join(rows)))
    rows[150_000] = "0.25,x,1"
    with pytest.raises(UserError, match="row 150001, column 'p1': 'x' is not a number"):
        read_predictions(write(tmp_path, "p0,p1,label\n" + "\n".join(rows)))
