"""Fine-tuning a teacher."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification

from confidistill.classifiers import open_classifier
from confidistill.distillation.finetuning import finetune_teacher
from confidistill.errors import UserError
from tests.distillation import stages
from tests.distillation.stages import LABELS, TRAINING, history


@pytest.fixture(scope="module")
def trained(assets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "out"
    stages.teacher(assets, folder, training=replace(TRAINING, epochs=12))
    return folder


def test_it_learns(trained):
    assert history(trained)[-1] < 0.3 < 0.6 < history(trained)[0]
    assert max(history(trained, "dev_accuracy")) > 0.9


def test_best_epoch_is_kept(trained, assets):
    dev = pd.read_parquet(assets / "dev.parquet")
    found = (open_classifier(trained, max_length=16).logits(dev).argmax(1) == dev["label"]).mean()
    assert len(history(trained, "dev_accuracy")) == 12
    assert found == max(history(trained, "dev_accuracy")) > min(history(trained, "dev_accuracy"))


def test_of_equal_epochs_the_first_is_kept(assets, tmp_path):
    """One dev row: right in every epoch or wrong in every epoch, so that what is kept is the first."""
    dev = pd.read_parquet(assets / "dev.parquet")[:1]
    weights = {}
    for epochs, steps in ((1, 6), (3, 18)):
        finetune_teacher(
            assets / "base",
            pd.read_parquet(assets / "train.parquet"),
            dev,
            tmp_path / str(epochs),
            label_names=LABELS,
            max_length=16,
            training=replace(TRAINING, epochs=epochs, schedule="constant", warmup_ratio=0.0, learning_rate=1e-6),
            metric="accuracy",
            checkpoints=tmp_path / "checkpoints",
        )
        assert history(tmp_path / str(epochs), "step")[-epochs - 1] == steps
        assert len(set(history(tmp_path / str(epochs), "dev_accuracy"))) == 1
        weights[epochs] = (tmp_path / str(epochs) / "model.safetensors").read_bytes()
    assert weights[1] == weights[3]


def test_it_is_a_plain_hugging_face_folder(trained):
    model = AutoModelForSequenceClassification.from_pretrained(trained)
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.config.label2id == {"bad": 0, "good": 1}
    assert open_classifier(trained, max_length=16).class_names == LABELS
    card = (trained / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "Classes: bad, good. 4 layers of 24" in card


def test_labels_without_a_name(assets, tmp_path):
    train = pd.read_parquet(assets / "train.parquet").assign(label=lambda table: table["label"] * 2)
    with pytest.raises(UserError, match=r"train: row 1, column 'label': 2 is not a label in 0\.\.1"):
        finetune_teacher(
            assets / "base",
            train,
            train,
            tmp_path / "out",
            label_names=LABELS,
            max_length=16,
            training=TRAINING,
            metric="accuracy",
            checkpoints=tmp_path / "checkpoints",
        )
    assert list(tmp_path.iterdir()) == []


def test_three_classes(assets, tmp_path):
    train = pd.read_parquet(assets / "train.parquet").assign(label=lambda table: np.arange(len(table)) % 3)
    finetune_teacher(
        assets / "base",
        train,
        train,
        tmp_path / "out",
        label_names=["a", "b", "c"],
        max_length=16,
        training=replace(TRAINING, epochs=1),
        metric="mcc",
        checkpoints=tmp_path / "checkpoints",
    )
    assert open_classifier(tmp_path / "out", max_length=16).logits(train).shape == (len(train), 3)
