"""Everything measured of a pair on one split, and the verdict: does the property hold?"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from confidistill.confidence import agreement as fidelity
from confidistill.confidence.bootstrap import bootstrap_interval
from confidistill.confidence.bounds import bound_paper, bound_pinsker, bound_tight
from confidistill.confidence.calibration import stacked_ece, top_label_ece
from confidistill.confidence.difference import (
    pairwise_difference,
    released_difference,
    sigma,
    sigma_max_confidence,
    sigma_released,
)
from confidistill.confidence.predictions import Predictions
from confidistill.errors import UserError

Protocol = Literal["definition", "released"]
SIGMA = {"definition": "sigma", "released": "sigma_released"}


def measure(teacher: Predictions, student: Predictions, *, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """The measures of one split, named as in metrics.json; the 95 % intervals are a seeded bootstrap's.

    Where a side has no logits, the logits' bounds use log p, which has the same softmax. MCC and F1 are for two
    classes alone.
    """
    p_teacher, p_student, labels = teacher.probabilities, student.probabilities, teacher.labels
    difference = pairwise_difference(p_teacher, p_student)
    released = released_difference(p_teacher, p_student, labels)
    low, high = bootstrap_interval(difference, resamples=resamples, seed=seed)
    released_low, released_high = bootstrap_interval(released, centred=True, resamples=resamples, seed=seed)
    models = {"teacher": p_teacher, "student": p_student}
    guesses = {name: probabilities.argmax(axis=1) for name, probabilities in models.items()}
    measured: dict[str, Any] = {
        "examples": len(labels),
        "majority": float(np.bincount(labels).max() / len(labels)),
    }
    measured |= {f"accuracy_{name}": fidelity.accuracy(guess, labels) for name, guess in guesses.items()}
    measured |= {f"ece_{name}": stacked_ece(p, labels) for name, p in models.items()}
    measured |= {f"ece_top_label_{name}": top_label_ece(p, labels) for name, p in models.items()}
    measured |= {
        "sigma": sigma(difference),
        "sigma_low": low,
        "sigma_high": high,
        "sigma_released": sigma_released(p_teacher, p_student, labels),
        "sigma_released_low": released_low,
        "sigma_released_high": released_high,
        "sigma_max_confidence": sigma_max_confidence(p_teacher, p_student),
        "agreement": fidelity.agreement(p_teacher, p_student),
        "predictive_kl": fidelity.predictive_kl(p_teacher, p_student),
        "probability_loyalty": fidelity.probability_loyalty(p_teacher, p_student),
        "bound_paper": bound_paper(teacher.log_odds, student.log_odds),
        "bound_tight": bound_tight(teacher.log_odds, student.log_odds),
        "bound_pinsker": bound_pinsker(p_teacher, p_student),
    }
    if p_teacher.shape[1] == 2:
        measured |= {f"mcc_{name}": fidelity.matthews(guess, labels) for name, guess in guesses.items()}
        measured |= {f"f1_{name}": fidelity.f1(guess, labels) for name, guess in guesses.items()}
    return measured


def judge(measured: Mapping[str, Any], protocol: Protocol, kappa: float) -> bool:
    """phi_cnf (Eq. 4): sigma <= kappa, sigma read by `protocol`, on what was measured of the training split.

    Raises:
        UserError: kappa is not positive, or no example is left to judge by.
    """
    if not kappa > 0:
        raise UserError(f"kappa must be positive, not {kappa}")
    value = measured[SIGMA[protocol]]
    if np.isnan(value):
        raise UserError(f"sigma is undefined under protocol {protocol!r}: both models are correct on no example")
    return bool(value <= kappa)
