"""What is measured of a split, and the verdict."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.confidence.certificate import judge, measure
from confidistill.errors import UserError
from tests.confidence.arrays import pair_of, problems

TEACHER = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]
STUDENT = [[0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]]
LABELS = [0, 1, 0, 0]


def test_four_examples_by_hand():
    measured = measure(*pair_of(TEACHER, STUDENT, LABELS))
    assert measured["examples"] == 4
    assert measured["majority"] == 0.75
    assert (measured["accuracy_teacher"], measured["accuracy_student"]) == (0.75, 0.5)
    assert measured["agreement"] == 0.75
    assert measured["sigma"] == pytest.approx(np.sqrt((0.1**2 + 0.2**2 + 0.2**2 + 0.1**2) / 4))
    assert measured["sigma_released"] == pytest.approx(0.15)
    assert measured["sigma_low"] <= measured["sigma"] <= measured["sigma_high"]
    # Class 1: teacher hits 1 of 1, guesses 2; student hits 1 of 1, guesses 3.
    assert measured["f1_teacher"] == pytest.approx(2 / 3)
    assert measured["f1_student"] == pytest.approx(2 / 4)


def test_the_named_measures_are_there():
    measured = measure(*pair_of(TEACHER, STUDENT, LABELS))
    of_both = {f"{name}_{model}" for name in ("accuracy", "ece", "ece_top_label") for model in ("teacher", "student")}
    of_two_classes = {"mcc_teacher", "mcc_student", "f1_teacher", "f1_student"}
    sigmas = {f"{name}{end}" for name in ("sigma", "sigma_released") for end in ("", "_low", "_high")}
    others = "sigma_max_confidence agreement predictive_kl probability_loyalty examples majority"
    bounds = {"bound_paper", "bound_tight", "bound_pinsker"}
    assert set(measured) == of_both | of_two_classes | sigmas | set(others.split()) | bounds
    three = measure(*pair_of([[0.5, 0.3, 0.2]], [[0.5, 0.3, 0.2]], [2]))
    assert set(measured) - set(three) == of_two_classes


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_examples_changes_nothing(problem, random):
    teacher, student = problem
    order = list(range(len(teacher.labels)))
    random.shuffle(order)
    shuffled = [type(model)(model.probabilities[order], model.labels[order], model.logits[order]) for model in problem]
    first, second = measure(teacher, student, resamples=20), measure(*shuffled, resamples=20)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name


@given(problems())
def test_a_model_preserves_its_own_confidence(problem):
    teacher = problem[0]
    measured = measure(teacher, teacher, resamples=5)
    assert judge(measured, "definition", 1e-9)
    assert measured["agreement"] == 1
    assert measured["bound_paper"] == measured["bound_tight"] == measured["bound_pinsker"] == 0


def test_bounds_of_probabilities_alone_hold_too():
    measured = measure(*pair_of([[1.0, 0.0], [0.3, 0.7]], [[0.5, 0.5], [0.7, 0.3]], [0, 1]))
    for name in ("bound_paper", "bound_tight", "bound_pinsker"):
        assert measured["sigma"] <= measured[name] < math.inf


def test_the_protocol_decides():
    measured = {"sigma": 0.07, "sigma_released": 0.05}
    assert not judge(measured, "definition", 0.05)
    assert judge(measured, "released", 0.05)  # <=, not <
    assert not judge(measured, "released", 0.0499)


@pytest.mark.parametrize("kappa", [0, -0.05, math.nan])
def test_kappa_must_be_positive(kappa):
    with pytest.raises(UserError, match="kappa must be positive"):
        judge({"sigma": 0.1}, "definition", kappa)


def test_nothing_to_judge_by():
    measured = measure(*pair_of([[0.9, 0.1]], [[0.8, 0.2]], [1]))
    assert judge(measured, "definition", 0.11)
    with pytest.raises(UserError, match="both models are correct on no example"):
        judge(measured, "released", 0.05)
