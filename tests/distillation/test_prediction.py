"""Stage 2: what the student imitates, which epoch is kept, what is written."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, set_seed

from confidistill.classifiers import open_classifier
from confidistill.confidence.agreement import matthews
from confidistill.distillation.data import BucketedBatches
from confidistill.distillation.prediction import MEASURED, _measured_rows, distill_prediction
from confidistill.distillation.terms import Term
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.distillation.stages import LABELS, TRAINING, checkpoints, contents, history


@pytest.fixture(scope="module")
def table(assets):
    return pd.read_parquet(assets / "train.parquet")


def run(assets, output, table, *, training=TRAINING, **options):
    options = {"metric": "accuracy", "label_names": LABELS} | options
    dev = pd.read_parquet(assets / "dev.parquet")
    dev = dev.assign(**{name: 0.0 for name in table if name.startswith("logit") and name not in dev})
    distill_prediction(
        assets / "plain-student",
        table,
        dev,
        output,
        max_length=16,
        training=training,
        checkpoints=checkpoints(output),
        **options,
    )
    return output


def weights(output):
    return contents(output)["model.safetensors"]


def log_softmax(z):
    return z - np.log(np.exp(z).sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({}, lambda s, t, y: -(np.exp(log_softmax(t)) * log_softmax(s)).sum(1)),
        ({"temperature": 2.0}, lambda s, t, y: -(np.exp(log_softmax(t / 2)) * log_softmax(s / 2)).sum(1)),
        ({"terms": [Term("logit_mse")]}, lambda s, t, y: ((s - t) ** 2).sum(1)),
        (
            {"terms": [Term("logit_mse")], "alpha": 0.3},
            lambda s, t, y: 0.7 * ((s - t) ** 2).sum(1) - 0.3 * log_softmax(s)[np.arange(len(y)), y],
        ),
    ],
)
def test_first_loss_by_hand(assets, tmp_path, table, options, loss):
    output = run(assets, tmp_path / "out", table, training=replace(TRAINING, checkpoint_steps=1), **options)
    set_seed(TRAINING.seed)
    model = AutoModelForSequenceClassification.from_pretrained(assets / "plain-student", num_labels=2).eval()
    tokenizer = load_tokenizer(assets / "plain-student")
    lengths = [len(ids) for ids in tokenizer(table["text"].tolist(), max_length=16, truncation=True)["input_ids"]]
    rows = table.iloc[BucketedBatches(lengths, TRAINING.batch_size, TRAINING.seed).global_batches()[0]]
    batch = tokenizer(rows["text"].tolist(), padding=True, truncation=True, max_length=16, return_tensors="pt")
    with torch.no_grad():
        student = model(**batch).logits.double().numpy()
    expected = loss(student, rows[["logit0", "logit1"]].to_numpy(np.float64), rows["label"].to_numpy()).mean()
    assert history(output)[0] == pytest.approx(expected, rel=1e-5)


def test_labels_matter_only_with_alpha(assets, tmp_path, table):
    flipped = table.assign(label=1 - table["label"])
    for name, rows, alpha in (("a", table, 0.0), ("b", flipped, 0.0), ("c", table, 0.5), ("d", flipped, 0.5)):
        run(assets, tmp_path / name, rows, alpha=alpha)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "c") != weights(tmp_path / "d")


def test_alpha_one_is_fine_tuning(assets, tmp_path, table):
    for name, rows in (("a", table), ("b", table.assign(logit0=1.0))):
        run(assets, tmp_path / name, rows, alpha=1.0)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_it_learns_and_the_epoch_of_the_best_mcc_is_kept(assets, tmp_path, table):
    output = run(assets, tmp_path / "out", table, metric="mcc", training=replace(TRAINING, epochs=12))
    dev = pd.read_parquet(assets / "dev.parquet")
    predicted = open_classifier(output, max_length=16).logits(dev).argmax(1)
    assert matthews(predicted, dev["label"].to_numpy()) == max(history(output, "dev_mcc")) > 0.5
    assert history(output)[-1] < 0.8 * history(output)[0]


def test_three_classes(assets, tmp_path, table):
    output = run(assets, tmp_path / "out", table.assign(logit2=0.0), label_names=["a", "b", "c"])
    assert open_classifier(output, max_length=16).logits(table).shape == (len(table), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="logit1"), "no column 'logit1'"),
        (lambda table: table.assign(logit2=0.0), "has column 'logit2', but there are 2 classes"),
        (lambda table: table.assign(logit0=np.inf), "row 0, column 'logit0': inf is not a finite number"),
        (lambda table: table.assign(label=5), "row 0, column 'label': 5 is not a label in 0..1"),
    ],
)
def test_bad_tables(assets, tmp_path, table, change, message):
    with pytest.raises(UserError) as error:
        run(assets, tmp_path / "out", change(table))
    assert str(error.value).startswith(f"the distillation table: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [["text"], ["text", "origin"]])
@pytest.mark.parametrize("rows", [MEASURED // 2, 5 * MEASURED])
def test_sigma_is_measured_on_a_sample_of_the_training_set_itself(columns, rows):
    origin = np.random.default_rng(0).permutation(np.arange(rows) // 2 - 100)
    table = pd.DataFrame({"text": [f"row {row}" for row in range(rows)], "origin": origin})[columns]
    own = table[~table["origin"].duplicated() & (table["origin"] >= 0)] if "origin" in table else table
    sample = own.sample(MEASURED, random_state=3) if len(own) > MEASURED else own
    pd.testing.assert_frame_equal(_measured_rows(table, 3).reset_index(drop=True), sample.reset_index(drop=True))
