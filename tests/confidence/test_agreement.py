"""Accuracy and its kin, and how like two models are."""

import numpy as np
import pytest
from hypothesis import given

from confidistill.confidence.agreement import (
    accuracy,
    agreement,
    churn,
    f1,
    matthews,
    predictive_kl,
    probability_loyalty,
)
from tests.confidence.arrays import problems

TEACHER = np.array([[0.5, 0.5], [1.0, 0.0]])
STUDENT = np.array([[0.25, 0.75], [0.5, 0.5]])


def test_confusion_by_hand():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    predicted = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    # tp 2, fn 1, fp 1, tn 4
    assert accuracy(predicted, labels) == 6 / 8
    assert f1(predicted, labels) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert matthews(predicted, labels) == pytest.approx((2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5))


def test_matthews_of_three_classes_by_hand():
    # c = 2 right of s = 3; true 1, 1, 1; guessed 2, 1, 0: (2*3 - 3) / sqrt((9 - 5)(9 - 3)).
    assert matthews(np.array([0, 1, 0]), np.array([0, 1, 2])) == pytest.approx(3 / np.sqrt(24))


def test_one_predicted_class_has_no_correlation():
    labels = np.array([0, 1, 1])
    assert matthews(np.zeros(3, int), labels) == 0
    assert f1(np.zeros(3, int), np.zeros(3, int)) == 0
    assert matthews(labels, labels) == pytest.approx(1)
    assert matthews(1 - labels, labels) == pytest.approx(-1)


def test_kl_by_hand():
    # Row 1: 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75); row 2: ln 2, with 0 log 0 = 0.
    rows = 0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(2)
    assert predictive_kl(TEACHER, STUDENT) == pytest.approx(np.mean(rows))


def test_agreement_and_churn_by_hand():
    teacher = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    student = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    assert agreement(teacher, student) == 0.75
    assert churn(teacher, student) == 0.25


def test_loyalty_of_opposite_models_is_0_and_of_equal_ones_1():
    sure = np.array([[1.0, 0.0]])
    assert probability_loyalty(sure, sure[:, ::-1]) == pytest.approx(0)
    assert probability_loyalty(sure, sure) == pytest.approx(1)
    # JS of (1, 0) and (0.5, 0.5) in bits: middle (0.75, 0.25).
    js = 0.5 * np.log2(1 / 0.75) + 0.5 * (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25))
    assert probability_loyalty(sure, np.array([[0.5, 0.5]])) == pytest.approx(1 - np.sqrt(js))


@given(problems())
def test_ranges(problem):
    p, q = (model.probabilities for model in problem)
    assert predictive_kl(p, q) >= 0
    assert predictive_kl(p, p) == 0
    assert 0 <= probability_loyalty(p, q) <= 1
    assert probability_loyalty(p, q) == pytest.approx(probability_loyalty(q, p), abs=1e-9)
    assert agreement(p, q) + churn(p, q) == 1
