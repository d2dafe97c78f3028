"""Tables of texts: what must hold of one before a model reads it, and parts of one."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from confidistill.errors import UserError


def check_text(table: pd.DataFrame) -> None:
    """Raise a UserError unless the table has rows and every row has its text (and second text, of pairs)."""
    if "text" not in table:
        raise UserError(f"the table has no column 'text': it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise UserError("the table has no row: give it at least one")
    for name in ("text", "text_pair"):
        if name in table and table[name].isna().any():
            row = int(table[name].isna().to_numpy().argmax())
            raise UserError(f"row {row}, column {name!r}: no text: fill it in or drop the row")


def in_parts(table: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """The table, so many rows at a time."""
    return (table.iloc[start : start + rows] for start in range(0, len(table), rows))


def where(table: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """`table[chosen]`, by a mask (N,), renumbered; pandas' way has Arrow copy the texts of all rows first."""
    return pd.DataFrame({name: column.array[chosen] for name, column in table.items()})
