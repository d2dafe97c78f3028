"""`confidistill init`: from tables of different shape to a params.yaml that runs."""

import json
import random
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from confidistill.files import sha256
from tasks import init
from tasks.params import load
from tests import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A clone's root with a folder of one's own data."""
    (tmp_path / "profiles").symlink_to(tiny.ROOT / "profiles")
    (tmp_path / "my").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quickstart():
    return load(tiny.ROOT / "profiles" / "quickstart.yaml")


def test_a_csv_of_two_classes(folder, quickstart):
    tiny.write_table(Path("my/film reviews (2024).csv"), 60, seed=1)
    init.command(Path("my/film reviews (2024).csv"), text="body", label="stars")
    params = load()
    task = params.task("film-reviews-2024")
    assert (task.data.train, task.data.text, task.data.label) == ("film reviews (2024).csv", "body", "stars")
    assert task.data.dev.share == 0.2
    assert params.sources["table"].sha256 == sha256(Path("my/film reviews (2024).csv"))
    assert set(params.sources) == {"table", "minilm"}
    assert (params.vectors, params.corpus, params.augment) == (None, None, {"film-reviews-2024": None})
    # Every setting that the table does not touch is the quickstart's.
    for section in ("property", "teacher", "intermediate", "prediction", "processes"):
        assert getattr(params, section) == getattr(quickstart, section)
    assert params.students == {"S_3L": quickstart.students["S_3L"]}
    assert "# phi_cnf: sigma(train) <= kappa" in Path("params.yaml").read_text()


def test_a_tsv_of_five_classes_and_two_students(folder, quickstart):
    rng = random.Random(0)
    rows = [f"{' '.join(rng.choices(tiny.FILLER, k=rng.randint(60, 100)))} {i}\tclass: {i % 5}" for i in range(50)]
    Path("my/ratings.tsv").write_text("\n".join(["the review\tstars, 1-5", *rows]) + "\n")
    init.command(Path("my/ratings.tsv"), text="the review", label="stars, 1-5", student=["3x384", "2x156"])
    params = load()
    assert params.task("ratings").data.label == "stars, 1-5"
    assert params.task("ratings").max_length == 144  # some 100 words of 1.3 pieces
    assert params.corpus == quickstart.corpus
    assert params.general == quickstart.general
    narrow = params.students["S_2L"]
    assert (narrow.layers, narrow.hidden_size, narrow.intermediate_size, narrow.attention_heads) == (2, 156, 624, 12)
    assert narrow.prediction == quickstart.students["S_2L"].prediction


def test_more_text_for_the_students(folder):
    tiny.write_table(Path("my/reviews.csv"), 60, seed=1)
    Path("my/more, of all kinds.csv").write_text("id,body\n1,a film\n2,the plot\n")
    init.command(Path("my/reviews.csv"), text="body", label="stars", transfer=Path("my/more, of all kinds.csv"))
    params = load()
    transfer = params.task("reviews").transfer
    assert (transfer.file, transfer.text, transfer.text_pair) == (["more, of all kinds.csv"], "body", None)
    assert params.sources[transfer.source].sha256 == sha256(Path("my/more, of all kinds.csv"))
    assert "--transfer 'my/more, of all kinds.csv'" in Path("params.yaml").read_text().splitlines()[0]
    Path("my/more, of all kinds.csv").write_text("id,text\n1,a film\n")
    with pytest.raises(UserError, match=r"my/more, of all kinds\.csv: no column 'body': it has id, text"):
        init.command(
            Path("my/reviews.csv"), text="body", label="stars", transfer=Path("my/more, of all kinds.csv"), force=True
        )


def test_pairs_in_json_lines_with_a_dev_table_and_ones_own_model(folder):
    for name, rows in (("train", 30), ("dev", 9)):
        lines = [json.dumps({"a": f"one {i}", "b": f"two {i}", "y": ["x", "true", "3"][i % 3]}) for i in range(rows)]
        Path(f"my/{name}.jsonl").write_text("\n".join(lines) + "\n")
    tiny.write_model(folder / "my" / "bert")
    init.command(
        Path("my/train.jsonl"),
        text="a",
        label="y",
        text_pair="b",
        dev=Path("my/dev.jsonl"),
        base=Path("my/bert"),
        student=["2x24", "4x24"],
    )
    params = load()
    data = params.task("train").data
    assert (data.train, data.dev, data.text_pair) == ("train.jsonl", "dev.jsonl", "b")
    assert set(params.sources["table"].files) == {"train.jsonl", "dev.jsonl"}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(params.sources["base"].files)
    assert [student.attention_heads for student in params.students.values()] == [2, 2]
    assert "classes: 3, true, x" in Path("params.yaml").read_text()


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("body,stars\na,x\nb,y\n", {"text": "review"}, "my/mine.csv: no column 'review': it has body, stars"),
        ("body,stars\na,x\nb,x\n", {}, "my/mine.csv: a single class, 'x'"),
        ("body,stars\na,x\nb,y\nc,y\n", {}, "my/mine.csv: line 2: the only row of class 'x'"),
        ("body,stars\na,x\nb,y\nc,x\nd,y\n", {}, "my/mine.csv: too few rows to draw 0.2 of them for dev"),
        (None, {}, "my/mine.csv: no such file"),
        ("", {"student": ["big"]}, "--student big: write LAYERSxWIDTH, such as 3x384"),
        (
            "",
            {"student": ["4x384"]},
            "students.S_4L: a student of 4 layers cannot be mapped uniformly onto a",
        ),
        ("", {"student": ["3x385"]}, "students.S_3L.hidden_size: 385 is not a multiple of attention_heads, 12"),
    ],
)
def test_what_cannot_be_is_told_and_writes_nothing(folder, table, options, message):
    if table is not None:
        Path("my/mine.csv").write_text(table or "body,stars\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    with pytest.raises(UserError) as refused:
        init.command(Path("my/mine.csv"), **{"text": "body", "label": "stars"} | options)
    assert str(refused.value).startswith(message)
    assert sorted(path.name for path in folder.iterdir()) == ["my", "profiles"]


def test_changes_are_kept_and_data_stay_out_of_git(folder):
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("/data/\n")
    tiny.write_table(Path("my/mine.csv"), 20, seed=1)
    Path("params.yaml").write_text("mine: 1\n")
    with pytest.raises(UserError, match=r"params\.yaml has changes that are not committed"):
        init.command(Path("my/mine.csv"), text="body", label="stars")
    init.command(Path("my/mine.csv"), text="body", label="stars", force=True)
    assert Path(".gitignore").read_text() == "/data/\n/my/mine.csv\n"
    init.command(Path("my/mine.csv"), text="body", label="stars", force=True)  # once is enough
    assert Path(".gitignore").read_text() == "/data/\n/my/mine.csv\n"
    subprocess.run(["git", "add", "-A"], check=True)
    assert "my/" not in subprocess.run(["git", "status", "--short"], capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "text", ["stars", "a b", "1", "true", "null", "a: b", "#1", "", "-", "é", "a\"b'", "{x}", "a, b"]
)
def test_names_of_columns_survive_yaml(text):
    from tasks.composition import _scalar

    assert YAML(typ="safe").load(f"key: {_scalar(text)}") == {"key": text}


def locked(project):
    return YAML(typ="safe").load(project / "dvc.lock")["stages"]


def test_of_a_committed_lock_the_stages_of_the_experiment_before_are_left_out(tmp_path):
    """And the rest is as DVC writes it; a lock that is not committed stays as it is."""
    (tmp_path / "clone").mkdir()
    project = tiny.write_clone(tmp_path / "clone", YAML(typ="safe").load(tiny.ROOT / "profiles/quickstart.yaml"))
    (project / "dvc.lock").write_bytes((tiny.ROOT / "dvc.lock").read_bytes())
    tiny.write_table(project / "mine.csv", 60, seed=1)
    initialise = ["confidistill.cli", "init", "mine.csv", "--text", "body", "--label", "stars", "--force"]
    before = locked(project)
    assert "dvc.lock" not in tiny.run(project, *initialise).stdout
    assert locked(project) == before
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["add", "dvc.lock"], ["commit", "-q", "-m", "lock"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    done = tiny.run(project, *initialise)
    kept = {name: entry for name, entry in before.items() if name in ("preflight", "download_models", "report")}
    assert f"dvc.lock: {len(before) - len(locked(project))} stages of the experiment before left out" in done.stdout
    assert kept.items() <= locked(project).items()
    assert not [name for name in locked(project) if "movies" in name or "S_2L" in name]
    diff = subprocess.run(["git", "diff", "dvc.lock"], cwd=project, capture_output=True, text=True, check=True).stdout
    added = [line for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert not [line for line in added if f"-{line[1:]}" not in diff.splitlines()]  # lines that git shows as moved
