"""What one model said of N examples with C classes: probabilities, logits, labels."""

from dataclasses import dataclass

import numpy as np

from confidistill.confidence.difference import Floats, Integers


@dataclass(frozen=True)
class Predictions:
    """What one model said of N examples with C classes."""

    probabilities: Floats  # (N, C)
    labels: Integers | None  # (N,); None: unlabelled
    logits: Floats | None = None  # (N, C)
    note: str | None = None  # what reading them had to do, for the user to know

    @property
    def log_odds(self) -> Floats:
        """Logits where they are known, else log p, whose softmax is the same. (N, C)"""
        if self.logits is not None:
            return self.logits
        return np.log(self.probabilities.clip(np.finfo(np.float64).tiny))


def softmax(logits: Floats, gamma: float = 1.0) -> Floats:
    """softmax(gamma z) over classes, gamma the inverse temperature. logits: (N, C). Returns (N, C)."""
    scaled = gamma * np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def from_logits(logits: Floats, labels: Integers) -> Predictions:
    """Predictions of logits (N, C) and labels (N,), in double precision."""
    logits = np.asarray(logits, dtype=np.float64)
    return Predictions(softmax(logits), np.asarray(labels, dtype=np.int64), logits)
