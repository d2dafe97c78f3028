"""A classifier against the teacher's stored logits, split by split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from confidistill.confidence.measures import Evaluation, evaluate
from confidistill.confidence.predictions import from_logits
from tasks.params import Params
from tasks.tables import logits, splits, teacher_table

# Measures of two classes that a task lists under `also_report`, as GLUE does MCC for CoLA and F1 for MRPC and QQP.
OPTIONAL = ("mcc", "f1")


class Judged(NamedTuple):
    """One split: (N, C) logits of both, (N,) labels, and what follows."""

    split: str
    teacher_logits: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    evaluation: Evaluation


def judged(params: Params, task: str, model: Path) -> Iterator[Judged]:
    """Evaluate the classifier in the folder `model` on each split of the task, `train` first."""
    from confidistill.classifiers import open_classifier

    by = params.property
    classifier = open_classifier(model, max_length=params.task(task).max_length)
    for split in splits(task):
        table = teacher_table(task, split)
        labels, predicted = table["label"].to_numpy(), classifier.logits(table)
        evaluation = evaluate(
            from_logits(logits(table), labels),
            from_logits(predicted, labels),
            protocol=by.protocol,
            kappa=by.kappa,
            seed=by.seed,
            resamples=by.resamples,
        )
        yield Judged(split, logits(table), predicted, labels, evaluation)


def wanted(params: Params, task: str, evaluation: Evaluation) -> dict[str, Any]:
    """The measures without those that the task does not ask for."""
    unwanted = tuple(f"{name}_" for name in OPTIONAL if name not in params.task(task).also_report)
    return {name: value for name, value in evaluation.measures.items() if not name.startswith(unwanted)}


def measures_of(params: Params, task: str, model: Path) -> dict[str, Any]:
    """measures.json of the classifier: the measures of each split, and the verdict on `train`."""
    of_split = {one.split: one.evaluation for one in judged(params, task, model)}
    measures = {split: wanted(params, task, evaluation) for split, evaluation in of_split.items()}
    return measures | of_split["train"].judged
