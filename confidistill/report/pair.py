"""One teacher and one student on one task: what the report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from confidistill.confidence.difference import Integers, pairwise_difference, released_difference
from confidistill.confidence.predictions import Predictions
from confidistill.confidence.verdict import SIGMA, Outcome, Protocol, resampled_interval, verdict
from confidistill.errors import UserError

TRAIN = "train"  # the split that phi_cnf (Eq. 4) is judged on
SPLIT_NAMES = {TRAIN: "Tr"}


@dataclass(frozen=True)
class Variant:
    """A student as it is deployed: its predictions of each split, and its measures against the teacher's.

    `costs` is of `teacher` (unless it is a table of predictions), `student` and `deployed`: bytes,
    p50_ms, p99_ms, texts_per_second.
    """

    name: str
    predictions: Mapping[str, Predictions]
    measures: Mapping[str, Mapping[str, Any]]
    costs: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Pair:
    """A teacher, a student, and what was measured of them.

    `measures` is measures.json: one mapping of measures a split, and `holds`, `verdict`, `protocol`, `kappa`.
    `predictions[split]` is (teacher, student), each with N rows in the order of `texts[split]`.
    """

    task: str
    student: str
    measures: Mapping[str, Any]
    predictions: Mapping[str, tuple[Predictions, Predictions]]
    texts: Mapping[str, Sequence[str]]
    label_names: Sequence[str]
    official_rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows a split officially has, for those splits of which this is a part."""
    repeats: Sequence[Mapping[str, Any]] = ()
    """measures.json of the same pair, distilled with other seeds."""
    floor: Sequence[Mapping[str, Any]] = ()
    """measures.json of the teacher against itself, fine-tuned with other seeds."""
    variants: Sequence[Variant] = ()

    @property
    def splits(self) -> list[str]:
        """The splits measured, `train` first."""
        return [TRAIN, *(split for split in self.predictions if split != TRAIN)]

    @property
    def kappa(self) -> float:
        return float(self.measures["kappa"])

    @property
    def protocol(self) -> Protocol:
        """How delta and sigma are read: `definition` or `released`."""
        return self.measures["protocol"]

    @property
    def judged_measure(self) -> str:
        """The measure that is compared with kappa: `sigma` or `sigma_released`."""
        return SIGMA[self.protocol]

    def sigma(self, split: str) -> float:
        """The spread of delta on a split, by the protocol that judges."""
        return float(self.measures[split][self.judged_measure])

    def interval(self, split: str) -> tuple[float, float]:
        """The resampled interval of `sigma`, which decides whether the verdict is open."""
        return resampled_interval(self.measures[split], self.protocol)

    def verdict(self, split: str = TRAIN) -> Outcome:
        """The verdict on phi_cnf where the split is `train`; elsewhere the same test, for information."""
        return verdict(self.measures[split], self.protocol, self.kappa)

    def labels(self, split: str) -> Integers:
        """(N,) the labels of a split.

        Raises:
            UserError: it is unlabelled.
        """
        labels = self.predictions[split][0].labels
        if labels is None:
            raise UserError(f"{self.task}, {self.student}, {split}: no labels")
        return labels

    def difference(self, split: str) -> np.ndarray:
        """delta(x) by the protocol that judges: all rows, or for `released` those both models get right.

        Raises:
            UserError: no row is left.
        """
        teacher, student = self.predictions[split]
        if self.protocol == "definition":
            return pairwise_difference(teacher.probabilities, student.probabilities)
        delta = released_difference(teacher.probabilities, student.probabilities, self.labels(split))
        if not len(delta):
            pair = f"{self.task}, {self.student}, {split}"
            raise UserError(f"{pair}: both models are right on no example: judge by the protocol 'definition'")
        return delta


def marked_name(pair: Pair, split: str) -> str:
    """What a reader's table calls a split: its name, with an asterisk where it is a part of the official one."""
    return f"{split_name(split)}*" if split in pair.official_rows else split_name(split)


def split_name(split: str) -> str:
    """What tables call a split: `Tr` for train, as the paper does; others by their own name."""
    return SPLIT_NAMES.get(split, split)
