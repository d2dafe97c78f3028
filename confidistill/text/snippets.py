"""Human-rated sentences: `id TAB mean rating TAB text` (Hutto and Gilbert 2014)."""

from pathlib import Path

import pandas as pd

from confidistill.errors import UserError
from confidistill.text.lines import check_fields, rows

LABEL_NAMES = ("negative", "positive")


def read_snippets(path: Path, minimum_rating: float) -> pd.DataFrame:
    """Columns text and label: the sign of the mean rating. Sentences nearer to 0 than `minimum_rating` are left out.

    Raises:
        UserError: a line has too few fields, no number as its rating, or is not UTF-8; none is left.
    """
    texts, labels = [], []
    for number, fields in rows(path):
        check_fields(path, number, fields, 3)
        try:
            rating = float(fields[1])
        except ValueError:
            raise UserError(f"{path}: line {number}: rating {fields[1]!r} is not a number") from None
        if abs(rating) >= minimum_rating and rating != 0:
            texts.append(fields[2].strip())
            labels.append(int(rating > 0))
    if not texts:
        raise UserError(f"{path}: no sentence is rated {minimum_rating} or more from 0: lower minimum_rating")
    return pd.DataFrame({"text": texts, "label": labels})
