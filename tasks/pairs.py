"""A teacher and a student with everything the report shows of them, read from the results of `evaluate`."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from confidistill.confidence.measures import measure
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.predictions import from_logits
from confidistill.errors import UserError
from confidistill.report.pair import Pair, Variant
from tasks.params import Params
from tasks.results import COSTS, FLOOR, SEEDS, VARIANTS
from tasks.tables import label_names, logits, official_rows, splits, teacher_table


def load_pair(task: str, student: str) -> Pair:
    """Read one pair from results/<task>/<student>/ and its texts from data/teacher/<task>/."""
    folder = Path("results") / task / student
    texts, read = {}, {}
    for split in splits(task):
        table = teacher_table(task, split)
        columns = [table[name] for name in ("text", "text_pair") if name in table]
        texts[split] = [" | ".join(parts) for parts in zip(*columns, strict=True)]
        predictions = folder / "predictions"
        read[split] = read_pair(predictions / f"teacher-{split}.csv", predictions / f"student-{split}.csv")
    return Pair(
        task=task,
        student=student,
        measures=read_measures(folder / "measures.json"),
        predictions=read,
        texts=texts,
        label_names=label_names(task),
        official_rows=official_rows(task),
    )


def load_pairs(params: Params) -> list[Pair]:
    """Every task x student of params.yaml, in its order, with its repeats, its teacher's and its variants."""
    floors = {task: [_measured(task, FLOOR / f"{task}-{seed}") for seed in params.floor.seeds] for task in params.tasks}
    return [
        replace(
            load_pair(task, student),
            repeats=[_measured(task, SEEDS / f"{task}-{student}-{seed}") for seed in params.seeds],
            floor=floors[task],
            variants=[_variant(params, task, student, variant) for variant in params.export],
        )
        for task in params.tasks
        for student in params.students
    ]


def _variant(params: Params, task: str, student: str, variant: str) -> Variant:
    """What `export` and `time_export` left of a student's variant, measured against the teacher."""
    name, by = f"{task}-{student}-{variant}", params.property
    predictions, measures = {}, {}
    for split in splits(task):
        table = teacher_table(task, split)
        labels = table["label"].to_numpy()
        predictions[split] = from_logits(np.load(VARIANTS / name / f"{split}.npy"), labels)
        teacher = from_logits(logits(table), labels)
        measures[split] = measure(teacher, predictions[split], seed=by.seed, resamples=by.resamples)
    return Variant(variant, predictions, measures, json.loads((COSTS / f"{name}.json").read_text()))


def _measured(task: str, folder: Path) -> dict[str, Any]:
    """The measures of each split, of the logits that `repeat` or `reseed_teacher` left in `folder`."""
    measures = {}
    for split in splits(task):
        table = teacher_table(task, split)
        labels = table["label"].to_numpy()
        measures[split] = measure(
            from_logits(logits(table), labels), from_logits(np.load(folder / f"{split}.npy"), labels)
        )
    return measures


def read_measures(path: Path) -> dict[str, Any]:
    """measures.json; what is null there is undefined: NaN.

    Raises:
        UserError: it is no JSON, as after a merge with conflicts.
    """
    try:
        return parse_measures(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON at line {error.lineno}: `dvc repro` writes it anew") from None


def parse_measures(text: str) -> dict[str, Any]:
    """The content of measures.json."""
    measures = json.loads(text)
    for measured in measures.values():
        if isinstance(measured, dict):
            measured.update({name: math.nan for name, value in measured.items() if value is None})
    return measures
