"""A classifier against the teacher's stored logits, split by split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from confidistill.confidence.judgement import Verdict
from confidistill.confidence.measures import evaluate
from confidistill.confidence.predictions import from_logits
from tasks.params import Params
from tasks.predictions import predicted
from tasks.tables import logits

# Measures of two classes that a task lists under `also_report`, as GLUE does MCC for CoLA and F1 for MRPC and QQP.
OPTIONAL = ("mcc", "f1")


class Judged(NamedTuple):
    """One split: (N, C) logits of both, (N,) labels, and what follows."""

    split: str
    teacher_logits: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    evaluation: Verdict


def judged(params: Params, task: str, model: Path) -> Iterator[Judged]:
    """Evaluate the classifier in the folder `model` on each split of the task, `train` first."""
    by = params.property
    for split, table, student_logits in predicted(params, task, model):
        labels = table["label"].to_numpy()
        evaluation = evaluate(
            from_logits(logits(table), labels),
            from_logits(student_logits, labels),
            protocol=by.protocol,
            kappa=by.kappa,
            seed=by.seed,
            resamples=by.resamples,
        )
        yield Judged(split, logits(table), student_logits, labels, evaluation)


def wanted(params: Params, task: str, evaluation: Verdict) -> dict[str, Any]:
    """The measures without those that the task does not ask for."""
    unwanted = tuple(f"{name}_" for name in OPTIONAL if name not in params.task(task).also_report)
    return {name: value for name, value in evaluation.measures.items() if not name.startswith(unwanted)}
