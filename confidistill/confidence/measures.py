"""Everything measured of a pair on one split, at once or batch by batch; `evaluate` adds the verdict."""

from typing import Any

import numpy as np

from confidistill.confidence import certificate
from confidistill.confidence.bootstrap import bootstrap_interval
from confidistill.confidence.difference import Floats, pairwise_difference, released_difference
from confidistill.confidence.judgement import Verdict, judge
from confidistill.confidence.predictions import Predictions
from confidistill.confidence.sums import Sums, sums
from confidistill.confidence.verdict import Protocol

HEADLINE = ("sigma", "sigma_low", "sigma_high", "accuracy_teacher", "accuracy_student", "agreement")


class Measurement:
    """The measures of rows that come in batches. Between batches it keeps sums, and delta: 8 to 16 bytes a row.

    The intervals need every delta, since they sort them and draw from them; all other measures follow from the sums.
    """

    def __init__(self) -> None:
        self._sums: Sums | None = None
        self._differences: list[Floats] = []
        self._released: list[Floats] = []

    def add(self, teacher: Predictions, student: Predictions) -> None:
        """A batch of at least one row.

        Raises:
            ValueError: other classes than before, or labels where there were none, or the other way round.
        """
        batch = sums(teacher, student)
        self._sums = batch if self._sums is None else self._sums + batch
        pair = teacher.probabilities, student.probabilities
        self._differences.append(pairwise_difference(*pair))
        if teacher.labels is not None:
            self._released.append(released_difference(*pair, teacher.labels))

    def measures(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
        """The measures of all batches, named as in measures.json.

        Args:
            seed: of the bootstrap and of betting's order.

        Raises:
            ValueError: there was no batch.
        """
        if self._sums is None:
            raise ValueError("nothing was measured: add a batch first")
        difference = _joined(self._differences)
        low, high = certificate.betting_interval(difference, seed=seed)
        return {
            **self._sums.measures(),
            "sigma_low": low,
            "sigma_high": high,
            "sigma_upper": certificate.betting_upper(difference, seed=seed),
            "sigma_upper_bernstein": certificate.bernstein_upper(difference),
            "sigma_upper_hoeffding": certificate.hoeffding_upper(difference),
            **_resampled("sigma", difference, False, resamples, seed),
            **_resampled("sigma_released", _joined(self._released), True, resamples, seed),
        }


def measure(teacher: Predictions, student: Predictions, *, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """The measures of one split, named as in measures.json; `seed` is the bootstrap's and that of betting's order.

    Unlabelled rows have NaN for whatever needs a label. Where a side has no logits, the logits' bounds use log p, which
    has the same softmax. MCC and F1 are for two classes alone.
    """
    measurement = Measurement()
    measurement.add(teacher, student)
    return measurement.measures(seed=seed, resamples=resamples)


def evaluate(
    teacher: Predictions,
    student: Predictions,
    *,
    protocol: Protocol = "definition",
    kappa: float = 0.05,
    seed: int = 0,
    resamples: int = 1000,
) -> Verdict:
    """Measure a pair on one split, and judge it.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    return judge(measure(teacher, student, seed=seed, resamples=resamples), protocol=protocol, kappa=kappa)


def headline(measured: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """The few measures of metrics.json, with sigma_released where it judges."""
    names = HEADLINE if protocol == "definition" else (*HEADLINE, "sigma_released")
    return {name: measured[name] for name in names}


def _joined(parts: list[Floats]) -> Floats:
    """One array of the batches', which are given up for it, since there may be memory for one of them only."""
    if len(parts) > 1:
        parts[:] = [np.concatenate(parts)]
    return parts[0] if parts else np.empty(0)


def _resampled(name: str, difference: Floats, centred: bool, resamples: int, seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(difference, centred=centred, resamples=resamples, seed=seed)
    return {f"{name}_resampled_low": low, f"{name}_resampled_high": high}
