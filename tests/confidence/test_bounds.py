"""The bounds on sigma hold, are ordered, and are met where they can be."""

import numpy as np
import pytest
from hypothesis import given, settings

from confidistill.confidence.agreement import predictive_kl
from confidistill.confidence.bounds import bound_paper, bound_pinsker, bound_tight
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from tests.confidence.arrays import problems


@settings(max_examples=300)
@given(problems())
def test_bounds_hold(problem):
    teacher, student = problem
    value = sigma(pairwise_difference(teacher.probabilities, student.probabilities))
    tight, paper = (bound(teacher.logits, student.logits) for bound in (bound_tight, bound_paper))
    assert value <= bound_pinsker(teacher.probabilities, student.probabilities) + 1e-9
    assert value <= tight + 1e-9
    assert tight <= paper / (2 * np.sqrt(2)) + 1e-9


@given(problems())
def test_bounds_hold_at_another_temperature(problem):
    teacher, student = problem
    gamma = 0.25
    p, q = (softmax(model.logits, gamma) for model in problem)
    value = sigma(pairwise_difference(p, q))
    assert value <= bound_tight(teacher.logits, student.logits, gamma) + 1e-9
    assert value <= bound_paper(teacher.logits, student.logits, gamma) + 1e-9


def test_paper_bound_by_hand():
    teacher, student = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 4.0], [0.0, 1.0]])
    # beta = 9 + 16 + 0 over two examples: sqrt(25 / 2). It is the sum loss that is divided by |X|, once.
    assert bound_paper(teacher, student) == pytest.approx(np.sqrt(25 / 2))
    # The row (3, -4) without its mean is (3.5, -3.5).
    assert bound_tight(teacher, student) == pytest.approx(np.sqrt(2 * 3.5**2 / 2) / np.sqrt(8))


def test_tight_bound_is_met_in_the_limit():
    # Two classes about p = 1/2: |delta| = |sigmoid(e) - sigmoid(0)|, about e/4, and the distance is e / sqrt 2.
    gap = np.array([[1e-4, 0.0]])
    value = sigma(pairwise_difference(softmax(gap), softmax(0 * gap)))
    assert value == pytest.approx(bound_tight(gap, 0 * gap), rel=1e-6)


def test_tight_bound_does_not_see_a_shift_that_softmax_does_not_see():
    logits = np.array([[1.0, 2.0, 0.5]])
    assert bound_tight(logits, logits + 7) == pytest.approx(0, abs=1e-12)
    assert bound_paper(logits, logits + 7) == pytest.approx(7 * np.sqrt(3))


@given(problems())
def test_kl_is_soft_cross_entropy_less_the_teachers_entropy(problem):
    teacher, student = problem
    p = teacher.probabilities
    log_q = student.logits - np.logaddexp.reduce(student.logits, axis=1, keepdims=True)
    log_p = teacher.logits - np.logaddexp.reduce(teacher.logits, axis=1, keepdims=True)
    cross_entropy, entropy = -(p * log_q).sum(axis=1), -(p * log_p).sum(axis=1)
    assert predictive_kl(p, student.probabilities) == pytest.approx(np.mean(cross_entropy - entropy), abs=1e-9)
