"""The classification tasks of GLUE, from TSV folders as found in the wild and from the hub's Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from confidistill.errors import UserError
from confidistill.text.lines import check_fields, rows


@dataclass(frozen=True)
class GlueTask:
    """Where a task keeps its text and labels, and how many rows it officially has."""

    columns: tuple[str, ...]
    """Text columns of the TSV's header."""
    label: str
    label_names: tuple[str, ...]
    """In the order of the hub's label ids."""
    hub: str
    hub_columns: tuple[str, ...]
    official_rows: dict[str, int]
    spelled: bool = False
    """The TSV spells labels out; else it holds ids."""
    quoted: bool = False
    """Fields with quotes or line breaks are written as in CSV: in quotes, inner ones doubled. (Readers that take each
    line for a row find broken ones in QQP's train.tsv, and count 363,846 rows without them: the official number.)"""


PAIR = ("sentence1", "sentence2")
ENTAILS = ("entailment", "not_entailment")
TASKS = {
    "SST-2": GlueTask(
        ("sentence",), "label", ("negative", "positive"), "sst2", ("sentence",), {"train": 67349, "dev": 872}
    ),
    "RTE": GlueTask(PAIR, "label", ENTAILS, "rte", PAIR, {"train": 2490, "dev": 277}, spelled=True),
    "QQP": GlueTask(
        ("question1", "question2"),
        "is_duplicate",
        ("not_duplicate", "duplicate"),
        "qqp",
        ("question1", "question2"),
        {"train": 363846, "dev": 40430},
        quoted=True,
    ),
    "QNLI": GlueTask(
        ("question", "sentence"),
        "label",
        ENTAILS,
        "qnli",
        ("question", "sentence"),
        {"train": 104743, "dev": 5463},
        spelled=True,
    ),
    "MRPC": GlueTask(
        ("#1 String", "#2 String"),
        "Quality",
        ("not_equivalent", "equivalent"),
        "mrpc",
        PAIR,
        {"train": 3668, "dev": 408},
    ),
    "CoLA": GlueTask(
        ("sentence",),
        "label",
        ("unacceptable", "acceptable"),
        "cola",
        ("sentence",),
        {"train": 8551, "dev": 1043},
    ),
    "MNLI": GlueTask(
        PAIR,
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        "mnli",
        ("premise", "hypothesis"),
        {"train": 392702, "dev": 9815, "dev_mismatched": 9832},
        spelled=True,
    ),
    "WNLI": GlueTask(PAIR, "label", ("not_entailment", "entailment"), "wnli", PAIR, {"train": 635, "dev": 71}),
}
# CoLA's files have no header row.
COLA_COLUMNS = ["source", "label", "mark", "sentence"]
FILES = {"train": ("train",), "dev": ("dev", "dev_matched"), "dev_mismatched": ("dev_mismatched",)}
HUB_SPLITS = {"train": "train", "dev": "validation", "dev_mismatched": "validation_mismatched"}


def read_glue(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Every split of a task as columns text, text_pair (pair tasks) and label, the hub's label ids by either route.

    Args:
        folder: train.tsv and dev.tsv (MNLI: dev_matched.tsv and dev_mismatched.tsv), or the hub's
            `<config>/<split>-*.parquet`.

    Raises:
        UserError: a file is missing, empty or not UTF-8, a row has too few fields, a label is unknown.
    """
    task = TASKS[name]
    hub = sorted(folder.glob(f"{task.hub}/*.parquet"))
    splits = {}
    for split in task.official_rows:
        if hub:
            splits[split] = _read_hub(task, folder, split, two_dev_sets=len(task.official_rows) == 3)
        else:
            splits[split] = _read_tsv(name, task, folder, split)
    return splits


def _read_tsv(name: str, task: GlueTask, folder: Path, split: str) -> pd.DataFrame:
    candidates = [folder / f"{stem}.tsv" for stem in FILES[split]]
    path = next((path for path in candidates if path.is_file()), candidates[0])
    lines = rows(path, quoted=task.quoted)
    header = COLA_COLUMNS if name == "CoLA" else next(lines)[1]
    wanted = [*task.columns, task.label]
    missing = [column for column in wanted if column not in header]
    if missing:
        raise UserError(f"{path}: line 1: no column {missing[0]!r}: the header has {', '.join(header)}")
    places = [header.index(column) for column in wanted]
    known = list(task.label_names) if task.spelled else [str(index) for index in range(len(task.label_names))]
    texts, labels = [], []
    for number, fields in lines:
        check_fields(path, number, fields, max(places) + 1)
        *parts, label = (fields[place] for place in places)
        if label not in known:
            raise UserError(f"{path}: line {number}: unknown label {label!r}: {name} has {', '.join(known)}")
        texts.append(parts)
        labels.append(known.index(label))
    if not labels:
        raise UserError(f"{path}: empty: it has a header and no row")
    return _table(texts, labels)


def _read_hub(task: GlueTask, folder: Path, split: str, *, two_dev_sets: bool) -> pd.DataFrame:
    stem = "validation_matched" if two_dev_sets and split == "dev" else HUB_SPLITS[split]
    paths = sorted((folder / task.hub).glob(f"{stem}-*.parquet"))
    if not paths:
        raise UserError(f"{folder / task.hub}: no file {stem}-*.parquet: add it to `files` of the source")
    _check_label_names(task, paths[0])
    table = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    missing = [column for column in (*task.hub_columns, "label") if column not in table]
    if missing:
        raise UserError(f"{paths[0]}: no column {missing[0]!r}: it has {', '.join(table.columns)}")
    unknown = ~table["label"].isin(range(len(task.label_names)))
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise UserError(f"{paths[0]}: row {row + 1}: unknown label {table['label'][row]}")
    return _table(table[list(task.hub_columns)].to_numpy().tolist(), table["label"].tolist())


def _check_label_names(task: GlueTask, path: Path) -> None:
    """Where the file carries the hub's features, its label ids must mean what ours mean."""
    from datasets import ClassLabel, Features

    label = Features.from_arrow_schema(parquet.read_schema(path)).get("label")
    if isinstance(label, ClassLabel) and tuple(label.names) != task.label_names:
        raise UserError(f"{path}: the labels are {', '.join(label.names)}, expected {', '.join(task.label_names)}")


def _table(texts: Sequence[Sequence[str]], labels: Sequence[int]) -> pd.DataFrame:
    columns = {
        name: [row[index].strip() for row in texts] for index, name in enumerate(("text", "text_pair")[: len(texts[0])])
    }
    return pd.DataFrame({**columns, "label": np.asarray(labels, dtype=np.int64)})
