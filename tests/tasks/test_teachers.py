"""Teachers that are given, by the stages themselves: a table of probabilities, and a classifier of another family."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from confidistill.confidence.predictions import softmax
from confidistill.errors import UserError
from confidistill.files import sha256
from tasks.params import Params
from tasks.preflight import preflight
from tests import tiny
from tests.tasks.test_own_data import example
from tests.teachers.test_given import model

PAIRS = [("plain", "S_2L"), ("varied", "S_2L")]


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    """The tiny project's, with the probabilities that a panel gave each text, and a ModernBERT that is fine-tuned."""
    folder = tiny.write_assets(tmp_path_factory.mktemp("assets"))
    tables = [pd.read_csv(folder / "table" / f"{split}.csv") for split in ("train", "dev")]
    texts = pd.concat(tables)[["body"]].drop_duplicates()
    share = np.random.default_rng(0).uniform(size=len(texts)).round(3)
    texts.assign(p0=share, p1=1 - share).to_csv(folder / "panel.csv", index=False)
    model(folder / "modernbert", "modernbert", ["good", "bad"])
    (folder / "modernbert" / "pytorch_model.bin").unlink()
    return folder


@pytest.fixture
def content(assets):
    """The example of the documentation beside a model; students start as the base model."""
    content = tiny.params(assets)
    documented = example("models")["models"]["teachers"]["reviews"]
    content["sources"]["panel"] = {
        "kind": "path", "path": str(assets / "panel.csv"), "sha256": sha256(assets / "panel.csv")
    }  # fmt: skip
    content["sources"]["modernbert"] = {
        "kind": "path", "path": str(assets / "modernbert"), "files": tiny.files_of(assets / "modernbert")
    }  # fmt: skip
    content["models"] = {"base": "base", "mlm": None}
    content["models"]["teachers"] = {
        "plain": documented | {"source": "panel"},
        "varied": {"kind": "model", "source": "modernbert"},
    }
    content["augment"] = {"plain": None, "varied": None}
    content["vectors"] = content["corpus"] = None
    content["general"]["sequences"] = 0
    return content


def run(monkeypatch, stage, *names):
    monkeypatch.setattr(sys, "argv", [f"tasks.{stage}", *names])
    importlib.import_module(f"tasks.{stage}").main()


def test_a_student_learns_from_each(content, assets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    YAML(typ="safe").dump(content, Path("params.yaml"))
    for stage in ("preflight", "download_models"):
        run(monkeypatch, stage)
    for stage in ("download_data", "augment", "finetune_teacher", "predict_teacher"):
        for task in content["tasks"]:
            run(monkeypatch, stage, task)
    said = capsys.readouterr().out
    for task in ("plain", "varied"):
        assert f"{task}: the teacher is given (models.teachers.{task}): nothing is fine-tuned" in said

    predicted = pd.read_parquet("data/teacher/plain/train.parquet")
    panel = pd.read_csv(assets / "panel.csv").set_index("body")
    expected = panel.loc[predicted["text"]].to_numpy()
    np.testing.assert_allclose(softmax(predicted[["logit0", "logit1"]].to_numpy()), expected, atol=1e-6)

    for stage in ("download_checkpoint", "general_distill"):
        run(monkeypatch, stage, "S_2L")
    for stage in ("distill_intermediate", "distill_prediction", "evaluate"):
        for pair in PAIRS:
            run(monkeypatch, stage, *pair)
    said = capsys.readouterr().out
    assert "plain, S_2L: stage 1 is left out, stage 2 starts from the general student: the teacher is known by" in said
    assert "varied, S_2L: stage 1 is left out, stage 2 starts from the general student: the teacher is a modern" in said
    for task, student in PAIRS:
        start, left = (Path("models") / kind / student for kind in ("general", f"intermediate/{task}"))
        assert {path.name: path.read_bytes() for path in start.iterdir()} == {
            path.name: path.read_bytes() for path in left.iterdir()
        }
        metrics = json.loads((Path("results") / task / student / "metrics.json").read_text())
        assert 0 < metrics["train"]["sigma"] < 1

    # The panel's first class is the task's; the model's first is the task's second.
    from confidistill.classifiers import open_classifier

    table = pd.read_parquet("data/teacher/varied/dev.parquet")
    own = open_classifier(assets / "modernbert", max_length=32).logits(table)
    np.testing.assert_array_equal(table[["logit1", "logit0"]].to_numpy(), own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["models"]["teachers"].update(no={"kind": "model", "source": "base"}), "models.teachers.no: "),
        (lambda c: c["models"]["teachers"]["plain"].update(source="x"), "models.teachers.plain.source: no source is"),
        (lambda c: c["tasks"]["plain"].update(teacher={"epochs": 2}), "tasks.plain.teacher: models.teachers gives one"),
        (lambda c: c.update(floor={"seeds": [3]}), "floor.seeds: the teacher of plain is given"),
        (lambda c: c["prediction"].update(loss="logit_mse"), "prediction.loss of plain-S_2L: logit_mse needs a"),
        (
            lambda c: c.update(
                augment={"plain": {"variants": 1, "candidates": 2, "probability": 0.4, "seed": 1}, "varied": None},
                vectors={"source": "vectors", "member": None, "limit": 10},
            ),
            "augment.plain: its teacher is a table",
        ),
    ],
)  # fmt: skip
def test_what_a_given_teacher_cannot_do(content, change, message):
    change(content)
    with pytest.raises(UserError) as error:
        Params.model_validate(content)
    assert str(error.value).startswith(message)


def test_preflight_reads_what_is_on_this_machine(content, assets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preflight(Params.model_validate(content))
    content["models"]["teachers"]["varied"]["labels"] = ["no", "yes"]
    with pytest.raises(UserError, match=r"^models.teachers.varied: .*2 classes, named no, yes, but the task's labels"):
        preflight(Params.model_validate(content))
    del content["models"]["teachers"]["varied"]
    short = tmp_path / "short.csv"
    short.write_text("\n".join((assets / "panel.csv").read_text().splitlines()[:-5]) + "\n")
    content["sources"]["panel"] |= {"path": str(short), "sha256": sha256(short)}
    with pytest.raises(
        UserError, match=r"^models.teachers.plain: .*short.csv: no probabilities for 5 of the 40 texts of dev"
    ):
        preflight(Params.model_validate(content))
