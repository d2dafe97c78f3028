"""Splitting one labelled table, and writing a task's splits with their manifest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from confidistill.errors import UserError
from confidistill.files import atomic_folder

UNLABELLED = -100  # the label of transfer text, which is of no split: what torch's cross-entropy leaves out
HELD_OUT = "selection"  # the split of rows that are kept from training


def normalised(texts: pd.Series) -> pd.Series:
    """Texts as they count for being the same: lower case, single spaces."""
    return texts.str.lower().str.split().str.join(" ")


def split(table: pd.DataFrame, *, train: int | None, dev: int, seed: int, name: str) -> dict[str, pd.DataFrame]:
    """Draw `dev` rows and `train` of the rest (None: all of it), seeded; no text is in both.

    Of rows with the same text (up to case and spaces) the first is kept. Rows are drawn one by one, also where several
    are sentences of one document (an id `1_3` is document 1, sentence 3): a sentence is labelled for itself, and near
    copies are rare. Of 500 dev sentences of product reviews, 3 are a training sentence but for punctuation ("highly
    recommended!"), and 15 share half of their words with one; of 1,000 of movie reviews, none and 4. Both models are
    judged on the same rows, so what a near copy gives it gives to both.

    Raises:
        UserError: there are fewer rows than asked for; `name` tells of what.
    """
    unique = table[~normalised(table["text"]).duplicated()]
    wanted = (train or 1) + dev
    if len(unique) < wanted:
        raise UserError(f"{name}: {len(unique)} distinct rows, {wanted} asked for: lower `train` or `dev`")
    order = np.random.default_rng(seed).permutation(len(unique))
    last = len(order) if train is None else dev + train
    chosen = {"train": order[dev:last], "dev": order[:dev]}
    return {part: unique.iloc[np.sort(rows)].reset_index(drop=True) for part, rows in chosen.items()}


def hold_out(table: pd.DataFrame, *, share: float, seed: int, name: str) -> dict[str, pd.DataFrame]:
    """Draw `share` of each class's texts for dev, seeded, and leave the rest to train; every row is in one of both.

    Rows of the same text, or pair of texts (up to case and spaces), stay together, with the class of the first.

    Raises:
        UserError: there are too few rows for one to be drawn; `name` tells of what.
    """
    texts = normalised(table["text"])
    if "text_pair" in table:
        texts = texts + "\t" + normalised(table["text_pair"])
    distinct = table["label"].groupby(texts, sort=False).first()
    random = np.random.default_rng(seed)
    drawn: list[str] = []
    for _, same in distinct.groupby(distinct):
        count = min(round(share * len(same)), len(same) - 1)  # train keeps every class
        drawn += random.permutation(same.index.to_numpy())[:count].tolist()
    if not drawn:
        raise UserError(f"{name}: too few rows to draw {share:g} of them for dev: give a dev table, or a larger share")
    dev = texts.isin(drawn)
    return {"train": table[~dev].reset_index(drop=True), "dev": table[dev].reset_index(drop=True)}


def write_task(
    splits: Mapping[str, pd.DataFrame],
    output: Path,
    *,
    label_names: Sequence[str],
    about: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write `<split>.parquet` and manifest.json (label names, rows and label balance a split) to the folder `output`.

    Args:
        about: more to say of a split in the manifest.
    """
    manifest: dict[str, Any] = {"label_names": list(label_names), "splits": {}}
    with atomic_folder(output) as folder:
        for name, table in splits.items():
            counts = np.bincount(table["label"], minlength=len(label_names))
            manifest["splits"][name] = {
                "rows": len(table),
                "label_counts": dict(zip(label_names, map(int, counts), strict=True)),
                "majority": round(float(counts.max() / counts.sum()), 4),
            } | dict((about or {}).get(name, {}))
            table.to_parquet(folder / f"{name}.parquet", index=False)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    for name, facts in manifest["splits"].items():
        partial = f" (PARTIAL: {facts['official_rows']} officially)" if facts.get("partial") else ""
        print(f"{output.name} {name}: {facts['rows']} rows{partial}, majority class {facts['majority']:.3f}")
