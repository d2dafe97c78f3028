"""Everything measured of a pair on one split; `evaluate` adds the verdict, for the stage and for every command."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from confidistill.confidence import agreement as fidelity
from confidistill.confidence import certificate
from confidistill.confidence.bootstrap import bootstrap_interval
from confidistill.confidence.bounds import bound_paper, bound_pinsker, bound_tight
from confidistill.confidence.calibration import stacked_ece, top_label_ece
from confidistill.confidence.difference import (
    Floats,
    Integers,
    confidence,
    pairwise_difference,
    released_difference,
    sigma,
    sigma_max_confidence,
    sigma_released,
)
from confidistill.confidence.origin import confidence_slope, sigma_parts
from confidistill.confidence.predictions import Predictions
from confidistill.confidence.verdict import Protocol, Verdict, holds, verdict

HEADLINE = ("sigma", "sigma_low", "sigma_high", "accuracy_teacher", "accuracy_student", "agreement")
UNDEFINED = float("nan")


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a teacher and a student on the same rows, and what follows."""

    measures: dict[str, Any]
    holds: bool
    verdict: Verdict
    protocol: Protocol
    kappa: float

    @property
    def judged(self) -> dict[str, Any]:
        """The verdict and what it was reached by, as files carry them."""
        return {"holds": self.holds, "verdict": self.verdict, "protocol": self.protocol, "kappa": self.kappa}


def evaluate(
    teacher: Predictions,
    student: Predictions,
    *,
    protocol: Protocol = "definition",
    kappa: float = 0.05,
    seed: int = 0,
    resamples: int = 1000,
) -> Evaluation:
    """Measure a pair on one split, and judge it.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    measured = measure(teacher, student, seed=seed, resamples=resamples)
    held = holds(measured, protocol, kappa)
    return Evaluation(measured, held, verdict(measured, protocol, kappa), protocol, kappa)


def headline(measured: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """The few measures of metrics.json, with sigma_released where it judges."""
    names = HEADLINE if protocol == "definition" else (*HEADLINE, "sigma_released")
    return {name: measured[name] for name in names}


def measure(teacher: Predictions, student: Predictions, *, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """The measures of one split, named as in measures.json; `seed` is the bootstrap's and that of betting's order.

    Unlabelled rows have NaN for whatever needs a label. Where a side has no logits, the logits' bounds use log p, which
    has the same softmax. MCC and F1 are for two classes alone.
    """
    p_teacher, p_student = teacher.probabilities, student.probabilities
    difference = pairwise_difference(p_teacher, p_student)
    low, high = certificate.betting_interval(difference, seed=seed)
    flips, drift = sigma_parts(p_teacher, p_student)
    return {
        "examples": len(difference),
        **_by_label(p_teacher, p_student, teacher.labels),
        "sigma": sigma(difference),
        "sigma_low": low,
        "sigma_high": high,
        "sigma_upper": certificate.betting_upper(difference, seed=seed),
        "sigma_upper_bernstein": certificate.bernstein_upper(difference),
        "sigma_upper_hoeffding": certificate.hoeffding_upper(difference),
        **_resampled("sigma", difference, False, resamples, seed),
        **_released(p_teacher, p_student, teacher.labels, resamples, seed),
        "sigma_max_confidence": sigma_max_confidence(p_teacher, p_student),
        "sigma_flips": flips,
        "sigma_drift": drift,
        "mean_delta": float(difference.mean()),
        "slope": confidence_slope(p_teacher, p_student),
        "teacher_confidence": float(confidence(p_teacher).mean()),
        "student_confidence": float(confidence(p_student).mean()),
        "agreement": fidelity.agreement(p_teacher, p_student),
        "predictive_kl": fidelity.predictive_kl(p_teacher, p_student),
        "probability_loyalty": fidelity.probability_loyalty(p_teacher, p_student),
        "bound_paper": bound_paper(teacher.log_odds, student.log_odds),
        "bound_tight": bound_tight(teacher.log_odds, student.log_odds),
        "bound_pinsker": bound_pinsker(p_teacher, p_student),
    }


def _by_label(teacher: Floats, student: Floats, labels: Integers | None) -> dict[str, float]:
    """Accuracy and calibration of both models. teacher, student: (N, C), labels: (N,)."""
    measures = {"accuracy": _accuracy, "ece": stacked_ece, "ece_top_label": top_label_ece}
    if teacher.shape[1] == 2:
        measures |= {"mcc": _matthews, "f1": _f1}
    models = {"teacher": teacher, "student": student}
    return {"majority": UNDEFINED if labels is None else float(np.bincount(labels).max() / len(labels))} | {
        f"{name}_{model}": UNDEFINED if labels is None else function(probabilities, labels)
        for name, function in measures.items()
        for model, probabilities in models.items()
    }


def _accuracy(probabilities: Floats, labels: Integers) -> float:
    return fidelity.accuracy(probabilities.argmax(axis=1), labels)


def _matthews(probabilities: Floats, labels: Integers) -> float:
    return fidelity.matthews(probabilities.argmax(axis=1), labels)


def _f1(probabilities: Floats, labels: Integers) -> float:
    return fidelity.f1(probabilities.argmax(axis=1), labels)


def _released(teacher: Floats, student: Floats, labels: Integers | None, resamples: int, seed: int) -> dict[str, float]:
    """sigma by the released protocol, its interval, and the share of rows that it leaves out."""
    if labels is None:
        return dict.fromkeys(
            ("sigma_released", "sigma_released_resampled_low", "sigma_released_resampled_high", "released_left_out"),
            UNDEFINED,
        )
    difference = released_difference(teacher, student, labels)
    return {
        "sigma_released": sigma_released(teacher, student, labels),
        **_resampled("sigma_released", difference, True, resamples, seed),
        "released_left_out": 1 - len(difference) / len(labels),
    }


def _resampled(name: str, difference: Floats, centred: bool, resamples: int, seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(difference, centred=centred, resamples=resamples, seed=seed)
    return {f"{name}_resampled_low": low, f"{name}_resampled_high": high}
