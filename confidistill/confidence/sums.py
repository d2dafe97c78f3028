"""Sums over rows, from which follow all measures but the intervals: batches, processes and machines add up."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from confidistill.confidence import agreement as fidelity
from confidistill.confidence.bounds import bound_paper, bound_pinsker, bound_tight
from confidistill.confidence.calibration import error_of, stacked_bins, top_label_bins
from confidistill.confidence.difference import (
    Floats,
    Integers,
    confidence,
    pairwise_difference,
    released_difference,
    sigma,
    sigma_max_confidence,
)
from confidistill.confidence.origin import Line, line, sigma_parts
from confidistill.confidence.predictions import Predictions

UNDEFINED = float("nan")


@dataclass(frozen=True)
class Sums:
    """What the rows of a teacher and a student with C classes come to; those of other rows can be added.

    `means` holds measures that are means over rows, times their number; `squares` those that are root mean squares,
    squared, times that number. `labelled` is None where no row has a label.
    """

    rows: int
    classes: int
    means: dict[str, float]
    squares: dict[str, float]
    line: Line
    labelled: "Labelled | None"

    def __add__(self, other: "Sums") -> "Sums":
        """The sums of both's rows.

        Raises:
            ValueError: other classes, or one is labelled and the other is not.
        """
        if self.classes != other.classes or (self.labelled is None) != (other.labelled is None):
            raise ValueError("rows of other classes, or labelled rows and unlabelled ones, do not add up")
        return Sums(
            self.rows + other.rows,
            self.classes,
            _added(self.means, other.means),
            _added(self.squares, other.squares),
            self.line + other.line,
            self.labelled + other.labelled if self.labelled and other.labelled else None,
        )

    def measures(self) -> dict[str, Any]:
        """The measures by name, as in measures.json. Unlabelled rows have NaN for whatever needs a label."""
        measured: dict[str, Any] = {"examples": self.rows}
        measured |= self.labelled.measures() if self.labelled else dict.fromkeys(_of_labels(self.classes), UNDEFINED)
        measured |= {name: total / self.rows for name, total in self.means.items()}
        measured |= {name: math.sqrt(total / self.rows) for name, total in self.squares.items()}
        return measured | {"slope": self.line.slope}


@dataclass(frozen=True)
class Labelled:
    """What needs labels: confusion tables (C, C) and bins of calibration errors (3, bins) by name, and released delta.

    `released` is the count, the mean and the sum of squares about the mean of delta by the released protocol.
    """

    confusion: dict[str, Integers]
    stacked: dict[str, Floats]
    top_label: dict[str, Floats]
    released: tuple[int, float, float]

    def __add__(self, other: "Labelled") -> "Labelled":
        return Labelled(
            _added(self.confusion, other.confusion),
            _added(self.stacked, other.stacked),
            _added(self.top_label, other.top_label),
            _pooled(self.released, other.released),
        )

    def measures(self) -> dict[str, float]:
        """Accuracy and calibration of both models, MCC and F1 of two classes, and sigma by the released protocol."""
        counts = self.confusion["teacher"]
        rows = int(counts.sum())
        measured = {"majority": float(counts.sum(axis=1).max() / rows)}
        for model, table in self.confusion.items():
            measured[f"accuracy_{model}"] = float(np.trace(table) / rows)
            measured[f"ece_{model}"] = error_of(self.stacked[model])
            measured[f"ece_top_label_{model}"] = error_of(self.top_label[model])
            if len(table) == 2:
                measured |= {f"mcc_{model}": fidelity.matthews_of(table), f"f1_{model}": fidelity.f1_of(table)}
        count, _, about_mean = self.released
        measured["sigma_released"] = math.sqrt(about_mean / count) if count else UNDEFINED
        measured["released_left_out"] = 1 - count / rows
        return {name: measured[name] for name in _of_labels(len(counts))}


def sums(teacher: Predictions, student: Predictions) -> Sums:
    """The sums of N >= 1 rows. Where a side has no logits, the logits' bounds use log p, which has the same softmax."""
    p_teacher, p_student = teacher.probabilities, student.probabilities  # (N, C)
    rows, classes = p_teacher.shape
    difference = pairwise_difference(p_teacher, p_student)
    flips, drift = sigma_parts(p_teacher, p_student)
    means = {
        "mean_delta": float(difference.mean()),
        "teacher_confidence": float(confidence(p_teacher).mean()),
        "student_confidence": float(confidence(p_student).mean()),
        "agreement": fidelity.agreement(p_teacher, p_student),
        "predictive_kl": fidelity.predictive_kl(p_teacher, p_student),
        "probability_loyalty": fidelity.probability_loyalty(p_teacher, p_student),
    }
    squares = {
        "sigma": sigma(difference),
        "sigma_max_confidence": sigma_max_confidence(p_teacher, p_student),
        "sigma_flips": flips,
        "sigma_drift": drift,
        "bound_paper": bound_paper(teacher.log_odds, student.log_odds),
        "bound_tight": bound_tight(teacher.log_odds, student.log_odds),
        "bound_pinsker": bound_pinsker(p_teacher, p_student),
    }
    return Sums(
        rows,
        classes,
        {name: rows * value for name, value in means.items()},
        {name: rows * value**2 for name, value in squares.items()},
        line(p_teacher, p_student),
        None if teacher.labels is None else _labelled(p_teacher, p_student, teacher.labels),
    )


def _labelled(teacher: Floats, student: Floats, labels: Integers) -> Labelled:
    """teacher, student: (N, C), labels: (N,)."""
    models = {"teacher": teacher, "student": student}
    released = released_difference(teacher, student, labels)
    mean = float(released.mean()) if len(released) else 0.0
    return Labelled(
        {name: fidelity.confusion(p.argmax(axis=1), labels, p.shape[1]) for name, p in models.items()},
        {name: stacked_bins(p, labels) for name, p in models.items()},
        {name: top_label_bins(p, labels) for name, p in models.items()},
        (len(released), mean, float(np.square(released - mean).sum())),
    )


def _of_labels(classes: int) -> list[str]:
    """The names of the measures that need labels."""
    names = ["accuracy", "ece", "ece_top_label", *(["mcc", "f1"] if classes == 2 else [])]
    models = [f"{name}_{model}" for name in names for model in ("teacher", "student")]
    return ["majority", *models, "sigma_released", "released_left_out"]


def _added(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {name: value + second[name] for name, value in first.items()}


def _pooled(first: tuple[int, float, float], second: tuple[int, float, float]) -> tuple[int, float, float]:
    """Count, mean and sum of squares about the mean of both's rows (Chan et al. 1979)."""
    count, gap = first[0] + second[0], second[1] - first[1]
    if not count:
        return first
    share = second[0] / count
    return count, first[1] + share * gap, first[2] + second[2] + first[0] * share * gap**2
