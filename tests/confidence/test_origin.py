"""Where sigma comes from, by hand and as identities."""

import numpy as np
import pytest
from hypothesis import given

from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.origin import confidence_slope, sigma_parts
from confidistill.confidence.predictions import softmax
from tests.confidence.arrays import problems

TEACHER = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
STUDENT = np.array([[0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])


def test_flips_and_drift_by_hand():
    flips, drift = sigma_parts(TEACHER, STUDENT)  # delta 0.1, 0.2, 0.2, 0.1; the third row flips
    assert flips == pytest.approx(np.sqrt(0.04 / 4))
    assert drift == pytest.approx(np.sqrt((0.01 + 0.04 + 0.01) / 4))


@given(problems())
def test_the_parts_make_up_the_whole(problem):
    teacher, student = (model.probabilities for model in problem)
    flips, drift = sigma_parts(teacher, student)
    assert flips**2 + drift**2 == pytest.approx(sigma(pairwise_difference(teacher, student)) ** 2, abs=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_scaled_logits_of_two_classes_have_their_factor_as_slope(factor):
    logits = np.random.default_rng(0).normal(size=(200, 2))
    assert confidence_slope(softmax(logits), softmax(factor * logits)) == pytest.approx(factor, rel=1e-6)


def test_the_slope_by_least_squares():
    odds = np.log(np.array([9.0, 4.0, 1.5, 7 / 3])), np.log(np.array([4.0, 1.5, 2 / 3, 1.5]))
    assert confidence_slope(TEACHER, STUDENT) == pytest.approx(np.polyfit(*odds, 1)[0])


def test_certainty_is_finite_and_one_value_has_no_slope():
    certain = np.array([[1.0, 0.0], [0.7, 0.3]])
    assert np.isfinite(confidence_slope(certain, certain[::-1]))
    assert np.isnan(confidence_slope(TEACHER[:1], STUDENT[:1]))
