"""The verdict: what each of the four stands for, on measures written down and on real ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.confidence.measures import measure
from confidistill.confidence.predictions import from_logits
from confidistill.confidence.verdict import MINIMUM_ROWS, explained, holds, objection, verdict, wilson_low
from confidistill.errors import UserError
from tests.confidence.arrays import problems

GOOD = {
    "examples": 1000, "majority": 0.6, "accuracy_teacher": 0.9, "accuracy_student": 0.85, "released_left_out": 0.2,
    "sigma": 0.04, "sigma_resampled_low": 0.03, "sigma_resampled_high": 0.045,
    "sigma_released": 0.02, "sigma_released_resampled_low": 0.01, "sigma_released_resampled_high": 0.03,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kappa", "expected"), [(0.05, "holds"), (0.045, "holds"), (0.04, "open"), (0.031, "open"), (0.02, "fails")]
)
def test_the_interval_decides_what_is_too_close_to_call(kappa, expected):
    assert verdict(GOOD, "definition", kappa) == expected


def test_the_protocol_decides():
    measured = {"sigma": 0.07, "sigma_released": 0.05}
    assert not holds(measured, "definition", 0.05)
    assert holds(measured, "released", 0.05)  # <=, not <
    assert not holds(measured, "released", 0.0499)
    assert verdict(GOOD, "definition", 0.035) == "open"
    assert verdict(GOOD, "released", 0.035) == "holds"


@pytest.mark.parametrize("kappa", [0, -0.05, 1, 1.5, math.inf, math.nan])
def test_kappa_lies_between_0_and_1(kappa):
    for judge in (holds, verdict):
        with pytest.raises(UserError, match="kappa must lie between 0 and 1, not "):
            judge(GOOD, "definition", kappa)


NOTHING_TO_HOLD = {
    "the teacher has learnt nothing": ({"accuracy_teacher": 0.6}, "the teacher does not beat the majority class"),
    "the student is not surely better": ({"accuracy_student": 0.62}, "the student does not beat the majority class"),
    "one class alone": ({"majority": 1.0, "accuracy_teacher": 1.0}, "the teacher does not beat the majority class"),
    "one row": ({"examples": 1}, f"1 rows: a verdict needs at least {MINIMUM_ROWS}"),
    "just too few": ({"examples": MINIMUM_ROWS - 1}, "29 rows: a verdict needs at least 30"),
}


@pytest.mark.parametrize(("changed", "why"), NOTHING_TO_HOLD.values(), ids=NOTHING_TO_HOLD)
def test_not_meaningful_where_there_is_nothing_to_hold(changed, why):
    assert verdict(GOOD | changed, "definition", 0.05) == "not meaningful"
    assert objection(GOOD | changed, "definition").startswith(why)
    assert explained(GOOD | changed, "definition", 0.05).startswith(f"NOT MEANINGFUL: {why}")


def test_rows_count_by_the_protocol():
    few_right = GOOD | {"released_left_out": 0.98}
    assert verdict(few_right, "definition", 0.05) == "holds"
    assert objection(few_right, "released") == "20 rows that both models get right: a verdict needs at least 30"
    undefined = GOOD | {"released_left_out": 1.0, "sigma_released": math.nan}
    assert verdict(undefined, "released", 0.05) == "not meaningful"
    assert not holds(undefined, "released", 0.05)


def test_unlabelled_rows_are_judged_by_sigma_alone():
    unknown = dict.fromkeys(("majority", "accuracy_teacher", "accuracy_student", "released_left_out"), math.nan)
    assert verdict(GOOD | unknown, "definition", 0.05) == "holds"


def test_the_verdict_in_words():
    assert explained(GOOD, "definition", 0.05) == "HOLDS: sigma 0.040000 <= kappa 0.05 (protocol definition)"
    assert explained(GOOD, "definition", 0.02) == "FAILS: sigma 0.040000 > kappa 0.02 (protocol definition)"
    assert explained(GOOD, "definition", 0.04) == (
        "OPEN: sigma 0.040000 <= kappa 0.04 is too close to call: over resampled rows sigma is 0.030000 to 0.045000 "
        "(protocol definition)"
    )


def test_wilson_by_hand():
    # z = 1.96, 8 of 10: Wilson (1927) gives 0.4902 to 0.9433, as in Agresti and Coull (1998).
    assert wilson_low(0.8, 10, 1.959964) == pytest.approx(0.4902, abs=5e-5)
    assert wilson_low(1.0, 10, 1.959964) == pytest.approx(0.7225, abs=5e-5)
    assert wilson_low(0.0, 10) == pytest.approx(0, abs=1e-12)
    assert math.isnan(wilson_low(math.nan, 10))


@pytest.mark.parametrize("labels", [[0] * 65 + [1] * 35])
def test_two_models_that_say_the_majority_class_hold_nothing(labels):
    random = np.random.default_rng(0)
    logits = np.array([1.0, 0.0]) + 0.01 * random.normal(size=(100, 2))
    pair = from_logits(logits, labels), from_logits(logits + 0.05 * random.normal(size=(100, 2)), labels)
    measured = measure(*pair)
    assert measured["accuracy_teacher"] == measured["accuracy_student"] == measured["majority"] == 0.65
    assert holds(measured, "definition", 0.05)
    assert verdict(measured, "definition", 0.05) == "not meaningful"


@given(problems(), st.floats(0.001, 0.999))
def test_holds_is_never_said_of_a_larger_sigma_nor_fails_of_a_smaller(problem, kappa):
    measured = measure(*problem, resamples=10)
    said = verdict(measured, "definition", kappa)
    assert said != ("fails" if measured["sigma"] <= kappa else "holds")
