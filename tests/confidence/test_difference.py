"""delta and sigma: worked by hand, and what must hold of any pair of models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.confidence.difference import (
    confidence,
    pairwise_difference,
    released_difference,
    sigma,
    sigma_max_confidence,
    sigma_released,
)
from tests.confidence.arrays import problems

TEACHER = np.array([[0.9, 0.1], [0.2, 0.8]])
STUDENT = np.array([[0.7, 0.3], [0.6, 0.4]])


def test_two_by_two_by_hand():
    # Teacher's classes 0 and 1: delta = 0.9 - 0.7 and 0.8 - 0.4.
    assert pairwise_difference(TEACHER, STUDENT) == pytest.approx([0.2, 0.4])
    assert sigma(pairwise_difference(TEACHER, STUDENT)) == pytest.approx(np.sqrt((0.04 + 0.16) / 2))


def test_the_index_is_the_teachers_class_for_both():
    # The student is as sure, of the other class: its own maximum would give 0.
    teacher, student = np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])
    assert pairwise_difference(teacher, student) == pytest.approx([0.8])
    assert sigma_max_confidence(teacher, student) == 0
    assert sigma_max_confidence(TEACHER, STUDENT) == pytest.approx(np.sqrt((0.2**2 + 0.2**2) / 2))


def test_sigma_is_not_the_standard_deviation():
    assert sigma(np.array([0.1, 0.1])) == pytest.approx(0.1)


def test_released_keeps_rows_both_get_right_and_takes_class_0():
    teacher = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    student = np.array([[0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 0])  # row 2: the student is wrong; row 3: both are
    assert released_difference(teacher, student, labels) == pytest.approx([0.1, -0.2])
    assert sigma_released(teacher, student, labels) == pytest.approx(0.15)  # about the mean, -0.05


def test_released_of_no_row_is_undefined():
    assert np.isnan(sigma_released(TEACHER, STUDENT, np.array([1, 0])))
    assert np.isnan(sigma(np.array([])))


def test_three_classes():
    teacher, student = np.array([[0.2, 0.5, 0.3]]), np.array([[0.6, 0.1, 0.3]])
    assert confidence(teacher) == [0.5]
    assert pairwise_difference(teacher, student) == pytest.approx([0.4])


@given(problems())
def test_sigma_is_a_share(problem):
    teacher, student = problem
    p, q = teacher.probabilities, student.probabilities
    delta = pairwise_difference(p, q)
    assert np.all(np.abs(delta) <= 1)
    assert 0 <= sigma(delta) <= 1
    # |max p - max q| never exceeds the largest difference of one entry.
    assert sigma_max_confidence(p, q) <= sigma(np.abs(p - q).max(axis=1)) + 1e-12
    released = released_difference(p, q, teacher.labels)
    if len(released):
        # A standard deviation never exceeds the root mean square, nor half the range.
        assert sigma_released(p, q, teacher.labels) <= sigma(released) + 1e-12
        assert sigma_released(p, q, teacher.labels) <= np.ptp(released) / 2 + 1e-12


@given(problems(max_classes=2))
def test_of_two_classes_class_0_differs_as_much_as_the_teachers(problem):
    teacher, student = problem
    p, q, labels = teacher.probabilities, student.probabilities, teacher.labels
    right = (p.argmax(1) == labels) & (q.argmax(1) == labels)
    released = released_difference(p, q, labels)
    assert np.abs(released) == pytest.approx(np.abs(pairwise_difference(p, q)[right]), abs=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_classes_changes_nothing_by_definition(problem, random):
    teacher, student = problem
    order = list(range(teacher.probabilities.shape[1]))
    random.shuffle(order)
    p, q = teacher.probabilities, student.probabilities
    if np.all(np.diff(np.sort(p, axis=1))[:, -1] > 0):  # without ties of the maximum
        assert np.array_equal(pairwise_difference(p, q), pairwise_difference(p[:, order], q[:, order]))


@given(problems())
def test_a_model_is_as_sure_as_itself(problem):
    p = problem[0].probabilities
    assert sigma(pairwise_difference(p, p)) == 0
