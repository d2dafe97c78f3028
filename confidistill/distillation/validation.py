"""What must hold of a table and a model before anything is trained or predicted."""

import numpy as np
import pandas as pd
from transformers import PretrainedConfig

from confidistill.architectures import longest_input
from confidistill.errors import UserError
from confidistill.text.splits import UNLABELLED


def check_length(max_length: int, config: PretrainedConfig) -> None:
    """Raise a UserError if the model of `config` cannot read so many tokens."""
    longest = longest_input(config)
    if longest is not None and max_length > longest:
        raise UserError(f"{config.name_or_path} takes at most {longest} tokens, not {max_length}: lower max_length")


def check_targets(table: pd.DataFrame, what: str, classes: int, *, logits: bool, unlabelled: bool = False) -> None:
    """Raise a UserError unless every row's label is one of `classes` and, where asked, so many finite logits are there.

    `what` is what the error calls the table; `unlabelled` rows, whose label is `UNLABELLED`, may be let through.
    """
    columns = ["label", *(f"logit{index}" for index in range(classes) if logits)]
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{what}: no column {missing[0]!r}: it has {', '.join(map(str, table.columns))}")
    if logits and f"logit{classes}" in table:
        raise UserError(f"{what}: has column 'logit{classes}', but there are {classes} classes: predict it anew")
    labels = [*range(classes), *([UNLABELLED] if unlabelled else [])]
    bad = {"label": ~table["label"].isin(labels).to_numpy()}
    bad |= {name: ~np.isfinite(table[name].to_numpy(np.float64)) for name in columns[1:]}
    for name, rows in bad.items():
        if rows.any():
            row = int(rows.argmax())
            wanted = f"a label in 0..{classes - 1}" if name == "label" else "a finite number"
            raise UserError(f"{what}: row {row}, column {name!r}: {table[name].iloc[row]} is not {wanted}")
