"""Transfer text: unlabelled text that students learn the teacher's probabilities on, beside the training set."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from confidistill.errors import UserError
from confidistill.text.lines import check_fields, rows
from confidistill.text.splits import normalised
from confidistill.text.table import read_table


def _as_list(file: Any) -> Any:
    return [file] if isinstance(file, str) else file


class _Transfer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    """Name of the source the files come from."""
    file: Annotated[list[str], Field(min_length=1), BeforeValidator(_as_list)]
    """A file of it, or several."""


class SnippetsTransfer(_Transfer):
    """Human-rated sentences, whatever their rating."""

    format: Literal["snippets"]


class TableTransfer(_Transfer):
    """A table (CSV, TSV, JSON lines, Parquet) and the names of its text columns."""

    format: Literal["table"]
    text: str
    text_pair: str | None


Transfer = Annotated[SnippetsTransfer | TableTransfer, Field(discriminator="format")]


def read_transfer(spec: SnippetsTransfer | TableTransfer, source: Path) -> pd.DataFrame:
    """Columns text and, for pairs, text_pair, of the files in the fetched `source`, or of the source that is the file.

    Raises:
        UserError: the file is unusable; file and line or row are named.
    """
    if not source.is_dir() and len(spec.file) > 1:
        raise UserError(f"{source}: one file, no folder with {' and '.join(spec.file)}")
    paths = [source / file for file in spec.file] if source.is_dir() else [source]
    return pd.concat([_read(spec, path) for path in paths], ignore_index=True)


def _read(spec: SnippetsTransfer | TableTransfer, path: Path) -> pd.DataFrame:
    match spec:
        case TableTransfer():
            return read_table(path, text=spec.text, text_pair=spec.text_pair, label=None)
        case SnippetsTransfer():
            texts = []
            for number, fields in rows(path):
                check_fields(path, number, fields, 3)
                texts.append(fields[2].strip())
            return pd.DataFrame({"text": texts})


def unseen(transfer: pd.DataFrame, splits: Iterable[pd.DataFrame], name: str) -> pd.DataFrame:
    """The rows of `transfer` whose text (up to case and spaces) is in none of the splits, each once.

    A pair counts as seen with its first text: no sentence of a held-out row is trained on.

    Raises:
        UserError: no row is left, or pairs are given for single texts or the reverse; `name` tells of what.
    """
    splits = list(splits)
    if any(("text_pair" in split) != ("text_pair" in transfer) for split in splits):
        raise UserError(f"{name}: text_pair must be given if and only if the task is one of pairs")
    seen = set(pd.concat([normalised(split["text"]) for split in splits]))
    texts = normalised(transfer["text"])
    left = transfer[~texts.isin(seen) & ~texts.duplicated()].reset_index(drop=True)
    if left.empty:
        raise UserError(f"{name}: every text is in the task's own data: give other text, or transfer: null")
    return left
