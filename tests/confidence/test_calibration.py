"""Calibration error, worked by hand on few points."""

import numpy as np
import pytest
from hypothesis import given

from confidistill.confidence.calibration import expected_calibration_error, reliability, stacked_ece, top_label_ece
from tests.confidence.arrays import problems


def test_bins_by_hand():
    confidences = np.array([0.95, 0.91, 0.55, 0.6])
    correct = np.array([True, False, True, True])
    # (0.9, 1]: accuracy 0.5, confidence 0.93; (0.5, 0.6]: accuracy 1, confidence 0.575.
    assert expected_calibration_error(confidences, correct, 10) == pytest.approx((2 * 0.43 + 2 * 0.425) / 4)
    table = reliability(confidences, correct, 10)
    assert table["confidence"] == pytest.approx([0.575, 0.93])
    assert table["accuracy"] == pytest.approx([1.0, 0.5])
    assert table["examples"].tolist() == [2, 2]


def test_bins_are_closed_on_the_right():
    table = reliability(np.array([0.0, 0.1, 0.1000001, 1.0]), np.ones(4, bool), 10)
    assert table["examples"].tolist() == [2, 1, 1]  # 0 and 0.1; 0.1000001; 1


def test_stacked_counts_every_class():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    # Points 0.9 right, 0.1 wrong, 0.2 wrong, 0.8 right: gaps 0.1, 0.1, 0.2, 0.2.
    assert stacked_ece(probabilities, np.array([0, 1])) == pytest.approx(0.15)
    # With label 0 for the second: 0.2 right and 0.8 wrong, gaps 0.8 and 0.8.
    assert stacked_ece(probabilities, np.array([0, 0])) == pytest.approx((0.1 + 0.1 + 0.8 + 0.8) / 4)


def test_top_label_takes_the_prediction_alone():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    assert top_label_ece(probabilities, np.array([0, 1])) == pytest.approx((0.3 + 0.6) / 2)


def test_stacked_sees_the_classes_that_top_label_does_not():
    # The predicted class is right as often as it says, the other two are the wrong way round.
    probabilities = np.array([[0.6, 0.3, 0.1]] * 10)
    labels = np.array([0] * 6 + [2] * 4)
    assert top_label_ece(probabilities, labels) == pytest.approx(0, abs=1e-12)
    assert stacked_ece(probabilities, labels) == pytest.approx((0 + 0.3 + 0.3) / 3)


@given(problems())
def test_error_is_a_share(problem):
    model = problem[0]
    for error in (stacked_ece, top_label_ece):
        assert 0 <= error(model.probabilities, model.labels) <= 1


def test_a_sure_and_right_model_has_no_error():
    probabilities = np.eye(3)
    assert stacked_ece(probabilities, np.arange(3)) == 0
    assert top_label_ece(probabilities, np.arange(3)) == 0
