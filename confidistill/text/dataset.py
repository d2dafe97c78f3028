"""A task's data: which kind of files, which rows; made into train and dev tables with a manifest."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from confidistill.errors import UserError
from confidistill.text.glue import TASKS, read_glue
from confidistill.text.snippets import LABEL_NAMES, read_snippets
from confidistill.text.splits import HELD_OUT, hold_out, split, write_task
from confidistill.text.table import check_classes, encode_labels, read_table

Rows = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    source: str
    """Name of the source the files come from."""


class SnippetsData(_Data):
    """Human-rated sentences; label = sign of the rating, at least `minimum_rating` from 0; split here."""

    format: Literal["snippets"]
    file: str
    minimum_rating: Annotated[float, Field(ge=0)]
    train: Rows | None
    dev: Rows
    seed: Seed


class GlueData(_Data):
    """A GLUE task; `train_rows` draws a seeded subset of its training set."""

    format: Literal["glue"]
    task: str
    train_rows: Rows | None
    seed: Seed

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task == "STS-B":
            raise ValueError("STS-B is a regression task: it has no classes, so no confidence to preserve")
        if task not in TASKS:
            raise ValueError(f"unknown GLUE task {task!r}: known are {', '.join(TASKS)}")
        return task


class HeldOut(BaseModel):
    """The share of the training table's rows that is drawn for another split, seeded, class by class."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    share: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class TableData(_Data):
    """The user's own tables (CSV, TSV, JSON lines, Parquet), train and dev or one to split, and names of columns."""

    format: Literal["table"]
    train: str
    dev: str | HeldOut
    text: str
    text_pair: str | None
    label: str


TaskData = Annotated[SnippetsData | GlueData | TableData, Field(discriminator="format")]


def prepare(
    data: SnippetsData | GlueData | TableData,
    source: Path,
    output: Path,
    *,
    held_out: HeldOut | None = None,
) -> None:
    """Write train.parquet, dev.parquet (MNLI: dev_mismatched.parquet too) and manifest.json to the folder `output`.

    With `held_out`, that share of train becomes selection.parquet, which no model trains on.

    Args:
        source: the folder of the fetched files, or the file itself.

    Raises:
        UserError: the files are unusable; file and line or row are named.
    """
    official: dict[str, int] = {}
    match data:
        case SnippetsData():
            table, label_names = read_snippets(_file(source, data.file), data.minimum_rating), list(LABEL_NAMES)
            splits = split(table, train=data.train, dev=data.dev, seed=data.seed, name=data.file)
        case GlueData():
            splits, label_names = _read_glue(data, source), list(TASKS[data.task].label_names)
            official = TASKS[data.task].official_rows
        case TableData():
            splits, label_names = read_own(data, source)
    if held_out:
        parts = hold_out(splits["train"], share=held_out.share, seed=held_out.seed, name="train")
        splits |= {"train": parts["train"], HELD_OUT: parts["dev"]}
    about = {name: {"official_rows": rows, "partial": len(splits[name]) < rows} for name, rows in official.items()}
    write_task(splits, output, label_names=label_names, about=about)


def _read_glue(data: GlueData, source: Path) -> dict[str, pd.DataFrame]:
    splits = read_glue(data.task, source)
    train = splits["train"]
    if data.train_rows:
        if data.train_rows > len(train):
            raise UserError(f"{data.task}: train has {len(train)} rows, train_rows asks for {data.train_rows}")
        chosen = np.random.default_rng(data.seed).choice(len(train), data.train_rows, replace=False)
        splits["train"] = train.iloc[np.sort(chosen)].reset_index(drop=True)
    return splits


def read_own(data: TableData, source: Path) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Train and dev, and the class names, of one's own table or tables in `source`, a folder or the one file.

    Raises:
        UserError: a table is unusable; file and line or row are named.
    """
    paths = {"train": _file(source, data.train)}
    if isinstance(data.dev, str):
        paths["dev"] = _file(source, data.dev)
    tables = {
        name: read_table(path, text=data.text, text_pair=data.text_pair, label=data.label)
        for name, path in paths.items()
    }
    names = check_classes(tables["train"]["label"], paths["train"])
    splits = {name: encode_labels(table, names, paths[name]) for name, table in tables.items()}
    if isinstance(data.dev, HeldOut):
        splits = hold_out(splits["train"], share=data.dev.share, seed=data.dev.seed, name=str(paths["train"]))
    return splits, names


def _file(source: Path, name: str) -> Path:
    return source / name if source.is_dir() else source
