"""`check` of several students, by groups, of other files and in batches; what it writes for a gate."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from confidistill.cli import app
from confidistill.confidence.checking import check_files
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from confidistill.errors import UserError

ROWS = 300


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A teacher of three classes, a student that is near, and one that is far off on texts of one source."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, ROWS)
    sources = np.array(["mail", "web", "chat | app"])[np.arange(ROWS) % 3]
    logits = 4 * np.eye(3)[labels] + random.normal(size=(ROWS, 3))
    far = np.where((sources == "web")[:, None], logits / 3, logits + 0.01)
    for name, values in {"teacher": logits, "near": logits + 0.01 * random.normal(size=(ROWS, 3)), "far": far}.items():
        table = pd.DataFrame(softmax(values), columns=["p0", "p1", "p2"]).assign(label=labels, source=sources)
        table.to_csv(f"{name}.csv", index=False)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["check", *arguments])


def probabilities(name: str) -> np.ndarray:
    return pd.read_csv(f"{name}.csv")[["p0", "p1", "p2"]].to_numpy()


def test_several_students_are_judged_at_once(folder):
    done = run("teacher.csv", "near.csv", "far.csv", "--json", "all.json")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "teacher: teacher.csv"
    assert lines[-2].startswith("near.csv: HOLDS: sigma 0.00") and lines[-1].startswith("far.csv: FAILS: sigma 0.")
    assert done.stdout.count("HOLDS") == done.stdout.count("FAILS") == 1
    written = json.loads((folder / "all.json").read_text())["students"]
    assert list(written) == ["near.csv", "far.csv"]
    for name in ("near", "far"):
        assert run("teacher.csv", f"{name}.csv", "--json", f"{name}.json").exit_code == (name == "far")
        assert json.loads((folder / f"{name}.json").read_text()) == written[f"{name}.csv"]
    assert run("teacher.csv", "near.csv", "near.csv").exit_code == 0


def test_the_groups_say_where_the_student_is_not_as_sure(folder):
    done = run("teacher.csv", "far.csv", "--by", "source", "--json", "out.json")
    assert done.exit_code == 1
    groups = json.loads((folder / "out.json").read_text())["groups"]
    assert [group["group"] for group in groups] == ["web", "chat | app", "mail"]
    difference = pairwise_difference(probabilities("teacher"), probabilities("far"))
    sources = pd.read_csv("far.csv")["source"]
    for group in groups:
        rows = (sources == group["group"]).to_numpy()
        assert group["examples"] == rows.sum() == 100
        assert group["sigma"] == pytest.approx(sigma(difference[rows]))
        assert group["sigma_low"] <= group["sigma"] <= group["sigma_high"]
        assert group["agreement"] == 1 and group["accuracy_teacher"] == group["accuracy_student"] > 0.9
    table = done.stdout[done.stdout.index("group ") :].splitlines()
    assert table[1].split()[:3] == ["web", "100", f"{groups[0]['sigma']:.4f}"]
    unlabelled = run("teacher.csv", "far.csv", "--by", "source", "--unlabelled")
    assert "accuracy" not in unlabelled.stdout and "web " in unlabelled.stdout


@pytest.mark.parametrize("rows", [7, 100, 299, 301])
def test_batches_change_nothing(folder, rows):
    whole = check_files(folder / "teacher.csv", [folder / "near.csv", folder / "far.csv"], by="source")
    batched = check_files(folder / "teacher.csv", [folder / "near.csv", folder / "far.csv"], by="source", rows=rows)
    for first, second in zip(whole, batched, strict=True):
        assert first.outcome == second.outcome
        for name, value in first.measures.items():
            assert second.measures[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        assert first.groups == second.groups


def test_files_of_other_kinds(folder):
    from datasets import Dataset, DatasetDict

    table = pd.read_csv("far.csv")
    table.to_parquet("far.parquet", row_group_size=70)
    (folder / "far.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in table.to_dict("records")))
    saved = Dataset.from_pandas(table)
    saved.save_to_disk("saved", num_shards=2)
    (expected,) = check_files("teacher.csv", ["far.csv"])
    for name in ("far.parquet", "far.jsonl", "saved"):
        for rows in (64, 1000):
            (verdict,) = check_files("teacher.csv", [name], rows=rows)
            for measure, value in expected.measures.items():
                assert verdict.measures[measure] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, measure)
    DatasetDict({"train": saved, "dev": saved}).save_to_disk("splits")
    with pytest.raises(UserError, match="splits: several splits: name one of them: splits/dev, splits/train"):
        check_files("teacher.csv", ["splits"])
    with pytest.raises(UserError, match=r"empty: not a regular file, nor a folder that `datasets` saved"):
        (folder / "empty").mkdir()
        check_files("teacher.csv", ["empty"])
    shard = sorted((folder / "saved").glob("*.arrow"))[0]
    shard.write_bytes(shard.read_bytes()[:99])
    with pytest.raises(UserError, match=r"\.arrow: not a part of a saved data set: "):
        check_files("teacher.csv", ["saved"])


MISTAKES = {
    "row": ("0.5,0.5,0.5,0,x", "s.csv: row 290: p0 to p2 sum to 1.5, not to 1"),
    "label": ("1,0,0,7,x", "s.csv: row 290, column 'label': 7 is not a class"),
    "word": ("1,0,?,0,x", "s.csv: row 290, column 'p2': '?' is not a number"),
    "field": ("1,0,0", "s.csv: row 290: 3 fields, not 5"),
}


@pytest.mark.parametrize(("line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_later_batch_is_named_by_its_row(folder, line, message):
    lines = (folder / "far.csv").read_text().splitlines()
    lines[290] = line
    (folder / "s.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as raised:
        check_files("teacher.csv", ["s.csv"], rows=64)
    assert message in str(raised.value)


def test_labels_and_lengths_that_differ_in_a_later_batch(folder):
    table = pd.read_csv("far.csv")
    other = table.assign(label=table["label"].where(table.index < 250, (table["label"] + 1) % 3))
    other.to_csv("s.csv", index=False)
    with pytest.raises(UserError, match=r"teacher.csv and s.csv: row 251: label . against . \(50 rows differ\)"):
        check_files("teacher.csv", ["s.csv"], rows=64)
    table.iloc[:200].to_csv("s.csv", index=False)
    with pytest.raises(UserError, match=r"teacher.csv has 300 rows, s.csv has 200"):
        check_files("teacher.csv", ["s.csv"], rows=64)


def test_what_a_gate_writes(folder):
    done = run("teacher.csv", "near.csv", "far.csv", "--by", "source", "--markdown", "s.md", "--junit", "j.xml")
    assert done.exit_code == 1
    suite = ElementTree.parse("j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    near, far = suite.findall("testcase")
    assert near.get("name") == "near.csv" and near.find("failure") is None
    assert far.find("failure").get("message").startswith("FAILS: sigma 0.")
    page = (folder / "s.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:4]] == ["| near.csv", "| far.csv"]
    assert rows[2].endswith("| holds |") and rows[3].endswith("| fails |")
    assert page.count(r"| chat \| app | 100 |") == 2
    certified = run("teacher.csv", "near.csv", "--certify", "--junit", "c.xml")
    assert certified.exit_code == 1  # of too few rows
    assert ElementTree.parse("c.xml").find("testcase/failure").get("message").startswith("NOT CERTIFIED")


def test_what_cannot_be_asked_for(folder):
    def refusal(*arguments: str) -> str:
        before = sorted(folder.iterdir())
        error = run("teacher.csv", "near.csv", *arguments, "--markdown", "s.md").exception
        assert isinstance(error, UserError), error
        assert sorted(folder.iterdir()) == before
        return str(error)

    assert "--by day: no column of that name in teacher.csv, near.csv" in refusal("--by", "day")
    assert "plot.svg: a plot is of one student" in refusal("far.csv", "--plot", "plot.svg")
    pd.read_csv("near.csv").assign(id=range(ROWS)).to_csv("ids.csv", index=False)
    assert "no column" in refusal("--by", "id")
    many = pd.concat([pd.read_csv("ids.csv")] * 4, ignore_index=True).assign(id=range(4 * ROWS))
    many.to_csv("many.csv", index=False)
    error = run("many.csv", "many.csv", "--by", "id").exception
    assert "--by id: more than 1,000 values: give a column of groups" in str(error)
