"""What is measured of a split, and that it is judged."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.confidence.measures import HEADLINE, evaluate, headline, measure
from confidistill.confidence.predictions import Predictions
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
    resampled = {f"{name}_resampled_{end}" for name in ("sigma", "sigma_released") for end in ("low", "high")}
    sigmas = (
        "sigma sigma_low sigma_high sigma_upper sigma_upper_bernstein sigma_upper_hoeffding sigma_flips sigma_drift"
    )
    others = "sigma_released released_left_out sigma_max_confidence mean_delta slope teacher_confidence "
    others += "student_confidence agreement predictive_kl probability_loyalty examples majority"
    bounds = {"bound_paper", "bound_tight", "bound_pinsker"}
    assert set(measured) == of_both | of_two_classes | resampled | set(f"{sigmas} {others}".split()) | bounds
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
    evaluation = evaluate(teacher, teacher, kappa=1e-9, resamples=5)
    measured = evaluation.measures
    assert evaluation.holds
    assert measured["agreement"] == 1
    assert measured["sigma_flips"] == measured["sigma_drift"] == measured["mean_delta"] == 0
    assert measured["bound_paper"] == measured["bound_tight"] == measured["bound_pinsker"] == 0


def test_bounds_of_probabilities_alone_hold_too():
    measured = measure(*pair_of([[1.0, 0.0], [0.3, 0.7]], [[0.5, 0.5], [0.7, 0.3]], [0, 1]))
    for name in ("bound_paper", "bound_tight", "bound_pinsker"):
        assert measured["sigma"] <= measured[name] < math.inf


def test_without_labels_all_but_what_needs_them():
    unlabelled = [Predictions(model.probabilities, None) for model in pair_of(TEACHER, STUDENT, LABELS)]
    measured, labelled = measure(*unlabelled), measure(*pair_of(TEACHER, STUDENT, LABELS))
    assert measured.keys() == labelled.keys()
    undefined = {name for name, value in measured.items() if np.isnan(value)}
    of_labels = ("accuracy", "ece", "mcc", "f1", "majority", "sigma_released", "released")
    assert undefined == {name for name in labelled if name.startswith(of_labels)}
    assert all(measured[name] == labelled[name] for name in labelled.keys() - undefined)


def test_the_headline_is_short_and_names_what_judges():
    measured = measure(*pair_of(TEACHER, STUDENT, LABELS))
    assert tuple(headline(measured, "definition")) == HEADLINE
    assert headline(measured, "released")["sigma_released"] == measured["sigma_released"]
    assert 2 * len(headline(measured, "released")) <= 14


def test_an_evaluation_says_what_it_was_judged_by():
    evaluation = evaluate(*pair_of(TEACHER, STUDENT, LABELS), protocol="released", kappa=0.2)
    judged = {"holds": True, "verdict": "not meaningful", "protocol": "released", "kappa": 0.2}
    assert evaluation.judged == judged  # 0.15 <= 0.2, and of two rows
