"""Small pairs to report on: synthetic ones, and the authors' own predictions where they are at hand."""

import csv

import numpy as np
import pandas as pd

from confidistill.confidence.measures import evaluate
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.predictions import Predictions, from_logits
from confidistill.report.pair import Pair
from tests.shared import SHARED

HOSTILE = "<script>alert(1)</script> & \"quotes\" <img src='http://evil.example/x.png'>"


def synthetic_pair(
    task: str = "movies",
    student: str = "S_2L",
    *,
    noise: float = 0.6,
    classes: int = 2,
    rows: int = 300,
    protocol: str = "definition",
    kappa: float = 0.05,
    text: str = "example",
) -> Pair:
    """A teacher that is mostly right, and a student whose logits are the teacher's plus noise."""
    random = np.random.default_rng(7)
    predictions, texts = {}, {}
    for split in ("train", "dev"):
        labels = random.integers(0, classes, rows)
        logits = random.normal(0, 1.5, (rows, classes))
        logits[np.arange(rows), labels] += 2
        student_logits = logits + random.normal(0, noise, logits.shape)
        predictions[split] = (from_logits(logits, labels), from_logits(student_logits, labels))
        texts[split] = [f"{text} {row} of {split}" for row in range(rows)]
    return make_pair(task, student, predictions, texts, [f"class {index}" for index in range(classes)], protocol, kappa)


def published_pair(task: str, student: str, protocol: str = "released") -> Pair:
    """The authors' predictions of one task and student, with the task's text."""
    folder = SHARED / "published" / task
    predictions, texts = {}, {}
    for split in ("train", "dev"):
        predictions[split] = read_pair(
            folder / "teacher" / f"{split}.csv", folder / f"student-{student}" / f"{split}.csv"
        )
        table = pd.read_csv(SHARED / "glue" / task / f"{split}.tsv", sep="\t", quoting=csv.QUOTE_NONE)
        texts[split] = table["sentence1" if "sentence1" in table else "sentence"].tolist()
    return make_pair(task, student, predictions, texts, ["class 0", "class 1"], protocol, 0.05)


def make_pair(
    task: str,
    student: str,
    predictions: dict[str, tuple[Predictions, Predictions]],
    texts: dict[str, list[str]],
    label_names: list[str],
    protocol: str,
    kappa: float,
) -> Pair:
    """A pair measured and judged."""
    evaluated = {
        split: evaluate(*models, protocol=protocol, kappa=kappa, resamples=50) for split, models in predictions.items()
    }
    measures = {split: evaluation.measures for split, evaluation in evaluated.items()} | evaluated["train"].judged
    return Pair(task, student, measures, predictions, texts, label_names)
