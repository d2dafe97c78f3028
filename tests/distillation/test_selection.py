"""Which epoch is kept, by hand; and what is measured after each of them."""

import numpy as np
import pandas as pd
import pytest

from confidistill.classifiers import open_classifier
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from confidistill.distillation.selection import Stop, guard_of, kept, stops
from tests.distillation.stages import history
from tests.distillation.test_prediction import run


@pytest.mark.parametrize(
    ("accuracies", "by_metric", "sigmas", "by_sigma"),
    [
        ([0.80], 0, [0.3], 0),
        ([0.80, 0.80], 0, [0.3, 0.2], 1),  # of equal metrics the earlier; of two within the guard the nearer
        ([0.80, 0.795, 0.81], 2, [0.3, 0.2, 0.1], 2),
        ([0.80, 0.75, 0.79], 0, [0.3, 0.1, 0.2], 2),  # 0.75 is 5 points below the best
        ([0.80, 0.79, 0.81], 2, [0.3, 0.1, 0.2], 2),  # the one kept has left the guard
        ([0.80, 0.79, 0.80], 0, [0.3, 0.1, 0.2], 1),
    ],
)
def test_the_epoch_that_is_kept(accuracies, by_metric, sigmas, by_sigma):
    rows = [{"accuracy": a, "sigma": s} for a, s in zip(accuracies, sigmas, strict=True)]
    assert kept(rows, "accuracy", None) == by_metric
    assert kept(rows, "accuracy", "sigma") == by_sigma


@pytest.mark.parametrize(
    ("accuracies", "sigmas", "stop", "ends"),
    [
        ([0.8], [0.06], Stop(sigma=0.05), False),
        ([0.8, 0.8], [0.06, 0.05], Stop(sigma=0.05), True),
        ([0.8, 0.78], [0.06, 0.04], Stop(sigma=0.05), False),  # near, but no longer as right
        ([0.8, 0.79], [0.06, 0.04], Stop(sigma=0.05), True),
        ([0.8, 0.8, 0.8], [0.3, 0.1, 0.2], Stop(patience=2), False),
        ([0.8, 0.8, 0.8, 0.8], [0.3, 0.1, 0.2, 0.1], Stop(patience=2), True),  # as near is no nearer
        ([0.8, 0.8, 0.8], [0.3, 0.2, 0.1], Stop(patience=1), False),
        ([0.8, 0.8], [0.1, 0.3], Stop(sigma=0.05, patience=1), True),
    ],
)
def test_when_training_ends(accuracies, sigmas, stop, ends):
    rows = [{"accuracy": a, "sigma": s} for a, s in zip(accuracies, sigmas, strict=True)]
    assert stops(rows, "accuracy", 0.0101, stop) is ends


def test_what_is_no_loss_on_few_rows():
    assert guard_of(150) == pytest.approx(0.0408, abs=1e-4)  # sqrt(0.5 * 0.5 / 150)
    assert guard_of(2500) == guard_of(10**6) == 0.01
    rows = [{"accuracy": a, "sigma": s} for a, s in ((0.80, 0.3), (0.77, 0.1), (0.75, 0.05))]
    assert kept(rows, "accuracy", "sigma", guard_of(150)) == 1
    assert kept(rows, "accuracy", "sigma") == 0


def test_sigma_of_each_epoch_is_that_of_the_weights(assets, tmp_path):
    """With variants in the table, sigma is of the rows that are no variants."""
    table = pd.read_parquet(assets / "train.parquet")
    varied = pd.concat([table.assign(origin=range(len(table))), table.assign(origin=range(len(table)), text="plot")])
    output = run(assets, tmp_path / "out", varied, keep="sigma", dropout=0.0)
    sigmas = history(output, "sigma")
    assert len(sigmas) == 2
    student = open_classifier(output, max_length=16)

    def sigma_on(rows: pd.DataFrame) -> float:
        teacher = softmax(rows[["logit0", "logit1"]].to_numpy())
        return sigma(pairwise_difference(teacher, softmax(student.logits(rows))))

    assert sigma_on(table) == pytest.approx(min(sigmas), rel=1e-5)
    held_out = history(output, "sigma_dev")[int(np.argmin(sigmas))]
    assert sigma_on(pd.read_parquet(assets / "dev.parquet")) == pytest.approx(held_out, rel=1e-5)


def test_without_dropout_the_student_says_so(assets, tmp_path):
    table = pd.read_parquet(assets / "train.parquet")
    for name, dropout in (("none", 0.0), ("some", 0.3)):
        run(assets, tmp_path / name, table, dropout=dropout)
    assert '"hidden_dropout_prob": 0.3' in (tmp_path / "some" / "config.json").read_text()
    assert history(tmp_path / "none") != history(tmp_path / "some")
