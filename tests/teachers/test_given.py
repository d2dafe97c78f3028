"""A teacher that is given is its task's, or one line says what is wrong with it."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from confidistill.classifiers import open_classifier
from confidistill.confidence.predictions import softmax
from confidistill.distillation.compatibility import why_no_features
from confidistill.errors import UserError
from confidistill.teachers.given import Given, adopt
from tests import families, tiny

LABELS = ["bad", "good"]
TABLES = {"train": pd.DataFrame({"text": ["fine", "dull", "fine"]}), "dev": pd.DataFrame({"text": ["so so"]})}
PANEL = "body,p0,p1\nfine,0.1,0.9\ndull,1,0\nso so,0.5,0.5\n"


def given(**settings):
    return TypeAdapter(Given).validate_python({"source": "mine", **settings})


def predictions(tmp_path, content=PANEL, tables=TABLES, label_names=LABELS, **settings):
    (tmp_path / "panel.csv").write_text(content)
    teacher = given(kind="predictions", text="body", **settings)
    adopt(teacher, tmp_path / "panel.csv", tmp_path / "teacher", label_names=label_names, tables=tables)
    return open_classifier(tmp_path / "teacher", max_length=8)


def test_probabilities_come_back_by_text(tmp_path):
    teacher = predictions(tmp_path)
    assert teacher.class_names == LABELS
    logits = teacher.logits(TABLES["train"])
    assert logits.dtype == np.float32 and np.isfinite(logits).all()
    np.testing.assert_allclose(softmax(logits), [[0.1, 0.9], [1, 0], [0.1, 0.9]], atol=1e-6)
    np.testing.assert_allclose(logits.sum(1), 0, atol=1e-5)  # known up to a constant, so centred


def test_logits_are_taken_as_they_are(tmp_path):
    teacher = predictions(tmp_path, "body,logit0,logit1\nfine,1,3\ndull,2,0\nso so,5,5\n")
    assert teacher.logits(TABLES["dev"]).tolist() == [[5, 5]]


def test_labels_name_the_teachers_order(tmp_path):
    teacher = predictions(tmp_path, labels=["good", "bad"])
    np.testing.assert_allclose(softmax(teacher.logits(TABLES["train"]))[0], [0.9, 0.1], atol=1e-6)


def test_pairs_are_looked_up_by_both_texts(tmp_path):
    tables = {"train": pd.DataFrame({"text": ["a", "a"], "text_pair": ["b", "c"]})}
    content = "body,other,p0,p1\na,b,0.25,0.75\na,c,1,0\n"
    teacher = predictions(tmp_path, content, tables, text_pair="other")
    np.testing.assert_allclose(softmax(teacher.logits(tables["train"]))[:, 0], [0.25, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (PANEL.replace("dull", "dulll"), {}, "no probabilities for 1 of the 3 texts of train, such as 'dull' in row 2"),
        (PANEL + "fine,0.2,0.8\n", {}, "two rows of one text, 'fine', differ"),
        (PANEL.replace("0.1,0.9", "0.1,0.8"), {}, "row 1: p0 to p1 sum to 0.9"),
        (PANEL.replace("body", "review"), {}, "no column 'body'"),
        (PANEL, {"labels": ["no", "yes"]}, "2 classes, named no, yes, but the task's labels are bad, good"),
        ("body,p0,p1,p2\nfine,1,0,0\n", {}, "3 classes, but the task has 2: bad, good"),
        (PANEL.replace("body,", "body,pair,").replace("e,", "e,x,").replace("l,", "l,x,").replace("so,", "so,x,"),
         {"text_pair": "pair"}, "text_pair must be named if and only if the task is one of pairs"),
    ],
)  # fmt: skip
def test_an_unusable_table_of_probabilities(tmp_path, content, settings, message):
    with pytest.raises(UserError) as error:
        predictions(tmp_path, content, **settings)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["panel.csv"]


def model(folder, model_type="distilbert", names=LABELS):
    """A classifier as transformers saves it."""
    import torch
    from transformers import AutoModelForSequenceClassification

    config = families.config(model_type, vocabulary=tiny.write_tokenizer(folder))
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_text("a pickle that is left behind")
    return folder


def take(folder, output, **settings):
    adopt(given(kind="model", **settings), folder, output, label_names=LABELS, tables=TABLES)


def test_a_fine_tuned_model_is_taken_as_it_is(tmp_path):
    folder = model(tmp_path / "mine")
    take(folder, tmp_path / "teacher")
    teacher, own = (open_classifier(path, max_length=8) for path in (tmp_path / "teacher", folder))
    assert np.array_equal(teacher.logits(TABLES["train"]), own.logits(TABLES["train"]))
    assert not (tmp_path / "teacher" / "pytorch_model.bin").exists()


def test_a_models_classes_are_named_in_the_tasks_words(tmp_path):
    folder = model(tmp_path / "mine", names=["LABEL_0", "LABEL_1"])
    with pytest.raises(UserError, match="named LABEL_0, LABEL_1, but the task's labels are bad, good"):
        take(folder, tmp_path / "teacher")
    assert not (tmp_path / "teacher").exists()
    take(folder, tmp_path / "teacher", labels=["good", "bad"])
    assert open_classifier(tmp_path / "teacher", max_length=8).class_names == ["good", "bad"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_that_is_not_whole(tmp_path, name):
    folder = model(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        take(folder, tmp_path / "teacher")


def test_why_features_cannot_be_compared(tmp_path):
    student = tmp_path / "student"
    tiny.write_model(student, layers=2, hidden=16)
    teacher = tmp_path / "teacher"
    tiny.write_model(teacher)
    assert why_no_features(teacher, student, "uniform") is None
    tiny.write_model(teacher, layers=3)
    assert "2 layers cannot be mapped uniformly onto a teacher of 3" in why_no_features(teacher, student, "uniform")
    tiny.write_model(teacher, heads=4)
    assert "2 attention heads, the teacher 4" in why_no_features(teacher, student, "uniform")
    tokenizer = json.loads((teacher / "tokenizer.json").read_text())
    padded = tokenizer | {
        "truncation": {"max_length": 8, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    }
    (teacher / "tokenizer.json").write_text(json.dumps(padded))
    assert "attention heads" in why_no_features(teacher, student, "uniform")  # truncation tells nothing
    tokenizer["model"]["vocab"] = {
        ("filn" if word == "film" else word): i for word, i in tokenizer["model"]["vocab"].items()
    }
    (teacher / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert why_no_features(teacher, student, "uniform") == "teacher and student have tokenizers of their own"
    families.write_model(teacher, "modernbert")
    assert why_no_features(teacher, student, "uniform") == "the teacher is a modernbert, the student a bert"
    (teacher / "config.json").unlink()
    assert why_no_features(teacher, student, "uniform") == "the teacher is known by its predictions alone"
