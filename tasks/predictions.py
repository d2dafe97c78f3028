"""What a classifier says of each split of a task."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.files import atomic_folder
from tasks.params import Params
from tasks.tables import splits, teacher_table


def predicted(params: Params, task: str, model: Path) -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Each split, `train` first: its name, its table with the teacher's logits, and (N, C) logits of `model`."""
    from confidistill.classifiers import open_classifier

    classifier = open_classifier(model, max_length=params.task(task).max_length)
    for split in splits(task):
        table = teacher_table(task, split)
        yield split, table, classifier.logits(table)


def write_logits(params: Params, task: str, model: Path, output: Path) -> None:
    """Write `<split>.npy`, (N, C) float32, of each split to the folder `output`."""
    with atomic_folder(output) as folder:
        for split, _, logits in predicted(params, task, model):
            np.save(folder / f"{split}.npy", logits)
