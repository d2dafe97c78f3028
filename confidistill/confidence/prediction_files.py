"""Files of predictions: p0..pK or logit0..logitK, and label; CSV, TSV, JSON lines or Parquet."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.confidence.columns import read_columns, refuse_value, shown_names
from confidistill.confidence.difference import Floats, Integers
from confidistill.confidence.predictions import Predictions, from_logits, softmax
from confidistill.errors import UserError
from confidistill.files import atomic_file

SUM_TOLERANCE = 1e-6  # a row of probabilities that is off by less is as exact as single precision
ROUNDING = 0.05  # no row that is off by more was rounded


def write_predictions(path: Path, logits: Floats, labels: Integers) -> None:
    """Write pred, p0.., logit0.., label as CSV."""
    predictions = from_logits(logits, labels)
    assert predictions.logits is not None
    table = pd.DataFrame({"pred": predictions.probabilities.argmax(axis=1)})
    for name, values in (("p", predictions.probabilities), ("logit", predictions.logits)):
        for index in range(values.shape[1]):
            table[f"{name}{index}"] = values[:, index]
    table["label"] = predictions.labels
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False)


def read_predictions(path: Path, *, labelled: bool = True, classes: Sequence[str] | None = None) -> Predictions:
    """Read a prediction file; columns other than label, p0..pK, logit0..logitK are ignored.

    Args:
        path: CSV (.tsv: tabs) in UTF-8 or UTF-16, JSON lines (.jsonl), each perhaps .gz, or Parquet.
        labelled: else no column label is needed, and one that is there is ignored.
        classes: the names of the classes in the order of p0, p1, ..., for labels that are words.

    Where a file has both, p must be the softmax of the logits. Of two classes, p1 alone will do. Rows of probabilities
    that were rounded to few digits are divided by their sum, which `note` tells.

    Raises:
        UserError: no such file, a file of another kind, a column is missing or not numeric, fewer than two classes, a
            value is missing or not finite, a probability is outside 0..1, a row does not sum to 1, a label is not a
            class. The message names file, row (1 is the first after the header) and column.
    """
    path = Path(path)
    table = read_columns(path, r"(p|logit)\d+|label" if labelled else r"(p|logit)\d+")
    if labelled and "label" not in table:
        raise UserError(
            f"{path}: no column 'label': its columns are {shown_names(path)}: add it, or judge --unlabelled"
        )
    names = {kind: _class_columns(path, table, kind) for kind in ("p", "logit")}
    if not any(names.values()):
        raise UserError(f"{path}: no columns p0, p1, ... or logit0, logit1, ...: its columns are {shown_names(path)}")
    if not len(table):
        raise UserError(f"{path}: no rows: give at least one prediction")
    logits, note = None, None
    if names["p"]:
        probabilities, note = _probabilities(path, table, names["p"])
    if names["logit"]:
        logits = np.column_stack([_numbers(path, table, name) for name in names["logit"]])  # (N, C)
        if names["p"]:
            _check_agreement(path, names["p"], probabilities, softmax(logits))
        probabilities, note = softmax(logits), None
    labels = _labels(path, table, probabilities.shape[1], classes) if labelled else None
    return Predictions(probabilities, labels, logits, note)


def read_pair(
    teacher: Path, student: Path, *, labelled: bool = True, classes: Sequence[str] | None = None
) -> tuple[Predictions, Predictions]:
    """Read two prediction files of the same examples in the same order; see `read_predictions`.

    Raises:
        UserError: one cannot be read, or their lengths, classes or labels differ.
    """
    first, second = (read_predictions(path, labelled=labelled, classes=classes) for path in (teacher, student))
    rows, counts = zip(*(predictions.probabilities.shape for predictions in (first, second)), strict=True)
    if rows[0] != rows[1]:
        raise UserError(
            f"{teacher} has {rows[0]} rows, {student} has {rows[1]}: both must hold the same examples in the same order"
        )
    if counts[0] != counts[1]:
        raise UserError(f"{teacher} has {counts[0]} classes, {student} has {counts[1]}: both must have the same")
    if first.labels is not None and second.labels is not None:
        differing = np.flatnonzero(first.labels != second.labels)
        if len(differing):
            row = differing[0]
            raise UserError(
                f"{teacher} and {student}: row {row + 1}: label {first.labels[row]} against {second.labels[row]} "
                f"({len(differing)} rows differ): both must hold the same examples in the same order"
            )
    return first, second


def _class_columns(path: Path, table: pd.DataFrame, kind: str) -> list[str]:
    """p0..pK or logit0..logitK in class order; p1 alone, of two classes; or none."""
    numbers = sorted(int(match[1]) for name in table.columns if (match := re.fullmatch(rf"{kind}(\d+)", name)))
    if not numbers or (kind == "p" and numbers == [1]):
        return [f"{kind}{number}" for number in numbers]
    names = [f"{kind}{number}" for number in range(numbers[-1] + 1)]
    if missing := next((name for name in names if name not in table), None):
        raise UserError(f"{path}: no column {missing!r}, though there is {names[-1]!r}")
    if len(names) == 1:
        raise UserError(f"{path}: a single class, {names[0]!r}: confidence needs at least two")
    return names


def _probabilities(path: Path, table: pd.DataFrame, names: list[str]) -> tuple[Floats, str | None]:
    """(N, C), each row of sum 1, and what was done to make it so."""
    values = np.column_stack([_numbers(path, table, name) for name in names])
    outside = np.argwhere((values < 0) | (values > 1))
    if len(outside):
        row, column = outside[0]
        raise UserError(
            f"{path}: row {row + 1}, column '{names[column]}': {values[row, column]:g} is outside 0 to 1: "
            "give probabilities, or name the columns logit0, logit1, ..."
        )
    if len(names) == 1:
        return np.column_stack([1 - values[:, 0], values[:, 0]]), None
    sums = values.sum(axis=1)  # (N,)
    gaps = np.abs(sums - 1)
    if gaps.max() <= SUM_TOLERANCE:
        return values, None
    step = _step(values)
    tolerance = min(max(len(names) * step / 2, 1e-3), ROUNDING) * (1 + 1e-9)
    if gaps.max() > tolerance:
        row = np.flatnonzero(gaps > tolerance)[0]
        raise UserError(f"{path}: row {row + 1}: {names[0]} to {names[-1]} sum to {sums[row]:.6g}, not to 1")
    told = f"{np.sum(gaps > SUM_TOLERANCE):,} rows of rounded probabilities sum to {sums.min():.6g} to {sums.max():.6g}"
    return values / sums[:, None], f"{path}: {told}: each row was divided by its sum"


def _step(values: Floats) -> float:
    """The last digit that a file of numbers was rounded to: 0.1, 0.01, ...; 0 where that is beyond the sixth."""
    for digits in range(1, 7):
        scaled = values * 10**digits
        if np.abs(scaled - np.rint(scaled)).max() < 1e-6:
            return 10.0**-digits
    return 0.0


def _check_agreement(path: Path, names: list[str], given: Floats, computed: Floats) -> None:
    if given.shape != computed.shape:
        raise UserError(f"{path}: {given.shape[1]} classes have a probability, {computed.shape[1]} a logit")
    gaps = np.abs(given - computed)
    tolerance = 1e-3
    if gaps.max() > tolerance:
        tolerance = max(tolerance, 0.51 * _step(given))
    if gaps.max() > tolerance:
        row, column = np.argwhere(gaps > tolerance)[0]
        raise UserError(
            f"{path}: row {row + 1}: p{column} is {given[row, column]:.6g}, the logits' softmax "
            f"{computed[row, column]:.6g}: remove the columns that are not the model's"
        )


def _labels(path: Path, table: pd.DataFrame, count: int, classes: Sequence[str] | None) -> Integers:
    """(N,) class ids, of ids or, with `classes`, of names."""
    if classes is not None:
        return _named_labels(path, table["label"], count, classes)
    values = _numbers(path, table, "label", hint=": name the classes in the order of p0, p1, ... with --classes")
    bad = np.flatnonzero((values != np.floor(values)) | (values < 0) | (values >= count))
    if len(bad):
        raise UserError(
            f"{path}: row {bad[0] + 1}, column 'label': {values[bad[0]]:g} is not a class: use 0 to {count - 1}"
        )
    return values.astype(np.int64)


def _named_labels(path: Path, column: pd.Series, count: int, classes: Sequence[str]) -> Integers:
    """Names win over ids, which they may look like: stars 1 to 5 are the classes 0 to 4."""
    if len(classes) != count or len(set(classes)) != count:
        raise UserError(f"{path}: {count} classes: name as many, each once, not {', '.join(classes)}")
    words = column.map(lambda label: str(label).strip(), na_action="ignore")
    given = set(words.dropna().unique())
    names = {name: index for index, name in enumerate(classes)}
    numbers = {str(index): index for index in range(count)}
    ids = words.map(names if given <= names.keys() or not given <= numbers.keys() else numbers)
    if ids.isna().any():
        row = int(np.flatnonzero(ids.isna())[0])
        raise UserError(
            f"{path}: row {row + 1}, column 'label': unknown label {str(column.iloc[row])[:40]!r}: "
            f"the labels are {', '.join(classes)}"
        )
    return np.asarray(ids, dtype=np.int64)


def _numbers(path: Path, table: pd.DataFrame, name: str, hint: str = "") -> Floats:
    """(N,) finite numbers of a column."""
    column = table[name]
    if pd.api.types.is_bool_dtype(column):
        raise UserError(f"{path}: column {name!r} is of type bool: store it as numbers")
    if not pd.api.types.is_numeric_dtype(column):
        refuse_value(path, column, hint)
    values = column.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        refuse_value(path, column, hint)
    return values
