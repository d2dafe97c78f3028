"""Random problems for the properties: probabilities and labels of two models on the same examples."""

import numpy as np
from hypothesis import strategies as st

from confidistill.confidence.predictions import Predictions, from_logits


@st.composite
def problems(draw: st.DrawFn, max_classes: int = 5) -> tuple[Predictions, Predictions]:
    """A teacher and a student from logits of any size, near each other or far apart; at least one example."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, classes = draw(st.integers(1, 40)), draw(st.integers(2, max_classes))
    scale, gap = draw(st.floats(0, 20)), draw(st.floats(0, 20))
    teacher = scale * random.normal(size=(rows, classes))
    student = teacher + gap * random.normal(size=(rows, classes))
    labels = random.integers(0, classes, rows)
    return from_logits(teacher, labels), from_logits(student, labels)


def pair_of(teacher: list, student: list, labels: list) -> tuple[Predictions, Predictions]:
    """Two models of written-down probabilities."""
    both = [Predictions(np.array(rows, dtype=float), np.array(labels)) for rows in (teacher, student)]
    return both[0], both[1]
