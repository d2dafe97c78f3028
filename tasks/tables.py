"""The tables that stages hand to each other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from confidistill.text.mapped import read_mapped
from confidistill.text.splits import HELD_OUT, UNLABELLED

TRANSFER = "transfer.parquet"


def label_names(task: str) -> list[str]:
    """The task's label names, in the order of their ids."""
    return _manifest(task)["label_names"]


def official_rows(task: str) -> dict[str, int]:
    """How many rows a split officially has, for those splits of which the task has a part."""
    splits = _manifest(task)["splits"]
    return {name: facts["official_rows"] for name, facts in splits.items() if facts.get("partial")}


def splits(task: str) -> list[str]:
    """The task's splits, `train` first: `dev`, `selection` where a share is held out, or what else it is judged on."""
    names = sorted(_manifest(task)["splits"])
    return ["train", *(name for name in names if name != "train")]


def judged_splits(task: str) -> list[str]:
    """The splits whose measures are the headline: all but the share that picks epochs."""
    return [name for name in splits(task) if name != HELD_OUT]


def selection_split(task: str) -> str:
    """The split that picks epochs: the held-out share of the training set where there is one, else dev."""
    return HELD_OUT if HELD_OUT in splits(task) else "dev"


def teacher_table(task: str, split: str) -> pd.DataFrame:
    """Text, label and the teacher's logits (logit0, logit1, …) of one split."""
    return read_mapped(Path("data/teacher") / task / f"{split}.parquet")


def distillation_text(task: str) -> pd.DataFrame:
    """What students of the task read: the training set, its variants, and transfer text, whose origin is below 0."""
    return _with_transfer(Path("data/augmented") / f"{task}.parquet", Path("data/transfer") / task / TRANSFER)


def distillation_table(task: str) -> pd.DataFrame:
    """The rows of `distillation_text` with the teacher's logits."""
    folder = Path("data/teacher") / task
    return _with_transfer(folder / "augmented.parquet", folder / TRANSFER)


def _with_transfer(table: Path, transfer: Path) -> pd.DataFrame:
    rows = read_mapped(table)
    if not transfer.exists():
        return rows
    unlabelled = read_mapped(transfer).assign(label=UNLABELLED, origin=UNLABELLED)
    return pd.concat([rows, unlabelled], ignore_index=True)


def logits(table: pd.DataFrame) -> np.ndarray:
    """The teacher's logits of a table, (N, C) float32."""
    classes = sum(column.startswith("logit") for column in table.columns)
    return table[[f"logit{index}" for index in range(classes)]].to_numpy(np.float32)


def _manifest(task: str) -> dict[str, Any]:
    return json.loads((Path("data/raw") / task / "manifest.json").read_text())
