"""Where the student is not as sure: sigma of the rows of each value of a column."""

from typing import Any

import numpy as np
import pandas as pd

from confidistill.confidence.certificate import betting_interval
from confidistill.confidence.difference import Floats, pairwise_difference, sigma
from confidistill.confidence.predictions import Predictions
from confidistill.errors import UserError

MOST = 1000
NONE = "(none)"  # the name of the group of rows that have no value


class Groups:
    """Rows that come in batches, by a column's value. It keeps some 15 bytes a row."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._codes: dict[str, int] = {}
        self._batches: list[tuple[np.ndarray, ...]] = []

    def add(self, values: pd.Series, teacher: Predictions, student: Predictions) -> None:
        """A batch: (N,) values and (N, C) predictions.

        Raises:
            UserError: there are more than 1,000 values.
        """
        positions, uniques = pd.factorize(values, use_na_sentinel=False)
        codes = [self._codes.setdefault(_name(value), len(self._codes)) for value in uniques]
        if len(self._codes) > MOST:
            raise UserError(
                f"--by {self.column}: more than {MOST:,} values: give a column of groups, such as days, not of rows"
            )
        of_teacher, of_student = (model.probabilities.argmax(axis=1) for model in (teacher, student))
        columns = [
            np.array(codes, dtype=np.int16)[positions],
            pairwise_difference(teacher.probabilities, student.probabilities),
            of_teacher == of_student,
        ]
        if teacher.labels is not None:
            columns += [of_teacher == teacher.labels, of_student == teacher.labels]
        self._batches.append(tuple(columns))

    def table(self, seed: int = 0) -> tuple[dict[str, Any], ...]:
        """A row a group, the largest sigma first: its name, rows, sigma with a 95 % interval, agreement, accuracy.

        The interval is by betting (see `certificate`), each group's by itself: of many, one in twenty may miss.
        """
        codes, difference, alike, *right = map(np.concatenate, zip(*self._batches, strict=True))
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(self._codes) + 1))
        rows = []
        for name, code in self._codes.items():
            chosen = order[edges[code] : edges[code + 1]]
            accuracies = [float(correct[chosen].mean()) for correct in right] or [float("nan")] * 2
            rows.append(_row(name, difference[chosen], float(alike[chosen].mean()), accuracies, seed))
        return tuple(sorted(rows, key=lambda row: (-row["sigma"], row["group"])))


def _row(name: str, difference: Floats, agreement: float, accuracies: list[float], seed: int) -> dict[str, Any]:
    low, high = betting_interval(difference, seed=seed)
    return {
        "group": name,
        "examples": len(difference),
        "sigma": sigma(difference),
        "sigma_low": low,
        "sigma_high": high,
        "mean_delta": float(difference.mean()),
        "agreement": agreement,
        "accuracy_teacher": accuracies[0],
        "accuracy_student": accuracies[1],
    }


def _name(value: Any) -> str:
    return NONE if pd.isna(value) else str(value).strip() or NONE
