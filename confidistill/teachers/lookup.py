"""A table of texts with the logits that a teacher gave each, looked up by text."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.errors import UserError
from confidistill.files import atomic_folder

TABLE, CLASSES = "predictions.parquet", "classes.json"


class Lookup:
    """Logits by text, or pair of texts, as it stands in the table."""

    def __init__(self, table: pd.DataFrame, name: str) -> None:
        """Take text, text_pair (of pairs) and logit0..; `name` is what errors call the table.

        Raises:
            UserError: a text stands there twice, with other logits.
        """
        self.name = name
        self.columns = [column for column in ("text", "text_pair") if column in table]
        self.logit_columns = [f"logit{index}" for index in range(len(table.columns) - len(self.columns))]
        keyed = table.set_index(self.columns)[self.logit_columns]
        same = keyed.index.duplicated(keep=False)
        if same.any():
            spread = keyed[same].groupby(level=self.columns).agg(np.ptp).max(axis=1)
            if (spread > 0).any():
                raise UserError(f"{name}: two rows of one text, {_shown(spread.idxmax())}, differ: keep one of them")
        self.keyed = keyed[~keyed.index.duplicated()]

    def logits(self, table: pd.DataFrame, what: str) -> np.ndarray:
        """(N, C) float32 of the rows of a table; `what` is what errors call it.

        Raises:
            UserError: a row's text is not here, or texts are single here and pairs there.
        """
        columns = [column for column in ("text", "text_pair") if column in table]
        if columns != self.columns:
            raise UserError(f"{self.name}: text_pair must be named if and only if the task is one of pairs")
        keys = table.set_index(columns).index
        rows = self.keyed.index.get_indexer(keys)
        if (rows < 0).any():
            missing = int((rows < 0).argmax())
            raise UserError(
                f"{self.name}: no probabilities for {int((rows < 0).sum()):,} of the {len(rows):,} texts of {what}, "
                f"such as {_shown(keys[missing])} in row {missing + 1}: add them, each text as it stands there"
            )
        return self.keyed.to_numpy(np.float32)[rows]


def _shown(text: object) -> str:
    shown = " | ".join(text) if isinstance(text, tuple) else str(text)
    return repr(shown if len(shown) < 60 else f"{shown[:60]}...")


def write_lookup(table: pd.DataFrame, label_names: Sequence[str], output: Path) -> None:
    """Write what `read_lookup` reads to the folder `output`."""
    with atomic_folder(output) as folder:
        table.to_parquet(folder / TABLE, index=False)
        (folder / CLASSES).write_text(json.dumps(list(label_names)) + "\n")


def read_lookup(folder: Path) -> tuple[Lookup, list[str]]:
    """The table in a folder, and the names of its classes."""
    return Lookup(pd.read_parquet(folder / TABLE), str(folder)), json.loads((folder / CLASSES).read_text())
