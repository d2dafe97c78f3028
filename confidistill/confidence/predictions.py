"""Prediction files: p0..pK or logit0..logitK, and label; CSV or Parquet."""

import re
import textwrap
from collections.abc import Sequence
from csv import reader as lines_of_csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from confidistill.confidence.difference import Floats, Integers
from confidistill.errors import UserError
from confidistill.files import atomic_file

SUM_TOLERANCE = 1e-3  # of a row of probabilities, which files carry with few digits
LONGEST_HEADER = 2**20  # characters
Kind = Literal["p", "logit"]


@dataclass(frozen=True)
class Predictions:
    """What one model said of N examples with C classes."""

    probabilities: Floats  # (N, C)
    labels: Integers  # (N,)
    logits: Floats | None = None  # (N, C)

    @property
    def log_odds(self) -> Floats:
        """Logits where they are known, else log p, whose softmax is the same. (N, C)"""
        if self.logits is not None:
            return self.logits
        return np.log(self.probabilities.clip(np.finfo(np.float64).tiny))


def softmax(logits: Floats, gamma: float = 1.0) -> Floats:
    """softmax(gamma z) over classes, gamma the inverse temperature. logits: (N, C). Returns (N, C)."""
    scaled = gamma * np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def from_logits(logits: Floats, labels: Integers) -> Predictions:
    """Predictions of logits (N, C) and labels (N,), in double precision."""
    logits = np.asarray(logits, dtype=np.float64)
    return Predictions(softmax(logits), np.asarray(labels, dtype=np.int64), logits)


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


def read_predictions(path: Path) -> Predictions:
    """Read a prediction file; columns other than label, p0..pK, logit0..logitK are ignored. Logits win over p.

    Raises:
        UserError: no such file, not CSV or Parquet, a column is missing or not numeric, fewer than two classes, a
            value is missing or not finite, a probability is outside 0..1, a row does not sum to 1, a label is not a
            class. The message names file, row (1 is the first after the header) and column.
    """
    path = Path(path)
    names, kind = _columns(path)
    table = _read(path, [*names, "label"])
    if not table.num_rows:
        raise UserError(f"{path}: no rows: give at least one prediction")
    values = np.column_stack([_numbers(path, table, name) for name in names])  # (N, C)
    labels = _labels(path, table, len(names))
    if kind == "logit":
        return Predictions(softmax(values), labels, values)
    _check_probabilities(path, names, values)
    return Predictions(values, labels)


def read_pair(teacher: Path, student: Path) -> tuple[Predictions, Predictions]:
    """Read two prediction files of the same examples in the same order.

    Raises:
        UserError: one cannot be read, or their lengths, classes or labels differ.
    """
    first, second = read_predictions(teacher), read_predictions(student)
    if len(first.labels) != len(second.labels):
        raise UserError(
            f"{teacher} has {len(first.labels)} rows, {student} has {len(second.labels)}: "
            "both must hold the same examples in the same order"
        )
    if first.probabilities.shape[1] != second.probabilities.shape[1]:
        counts = [predictions.probabilities.shape[1] for predictions in (first, second)]
        raise UserError(f"{teacher} has {counts[0]} classes, {student} has {counts[1]}: both must have the same")
    differing = np.flatnonzero(first.labels != second.labels)
    if len(differing):
        row = differing[0]
        raise UserError(
            f"{teacher} and {student}: row {row + 1}: label {first.labels[row]} against {second.labels[row]} "
            f"({len(differing)} rows differ): both must hold the same examples in the same order"
        )
    return first, second


def _columns(path: Path) -> tuple[list[str], Kind]:
    """Names of the value columns, in class order, and what they hold."""
    if not path.is_file():
        raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    present = _header(path)
    shown = textwrap.shorten(", ".join(present), 200, placeholder=" ...") or "none"
    if "label" not in present:
        raise UserError(f"{path}: no column 'label': its columns are {shown}")
    kinds: Sequence[Kind] = ("logit", "p")
    for kind in kinds:
        numbers = sorted(int(match[1]) for name in present if (match := re.fullmatch(rf"{kind}(\d+)", name)))
        if numbers:
            names = [f"{kind}{index}" for index in range(numbers[-1] + 1)]
            if missing := next((name for name in names if name not in present), None):
                raise UserError(f"{path}: no column {missing!r}, though there is {names[-1]!r}")
            if twice := next((name for name in [*names, "label"] if present.count(name) > 1), None):
                raise UserError(f"{path}: two columns are named {twice!r}: remove one")
            if len(names) == 1:
                raise UserError(f"{path}: a single class, {names[0]!r}: confidence needs at least two")
            return names, kind
    raise UserError(f"{path}: no columns p0, p1, ... or logit0, logit1, ...: its columns are {shown}")


def _header(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        try:
            return list(parquet.read_schema(path).names)
        except pa.ArrowInvalid:
            raise UserError(f"{path}: not a Parquet file") from None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return [name.strip() for name in next(lines_of_csv([file.readline(LONGEST_HEADER)]), [])]


def _read(path: Path, names: list[str]) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path, columns=names)
        return _read_csv(path, names, csv.ParseOptions(newlines_in_values=True))
    except pa.ArrowInvalid as error:
        if path.suffix != ".parquet":
            _check_fields(path, names)
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None


def _read_csv(path: Path, names: list[str], parsing: csv.ParseOptions, threads: bool = True) -> pa.Table:
    return csv.read_csv(
        path,
        csv.ReadOptions(column_names=_header(path), skip_rows=1, use_threads=threads),
        parsing,
        csv.ConvertOptions(include_columns=names, null_values=[""]),
    )


def _check_fields(path: Path, names: list[str]) -> None:
    """Read again, slowly, to name the first row whose number of fields is wrong."""
    wrong: list[csv.InvalidRow] = []

    def note(row: csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    _read_csv(path, names, csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note), threads=False)
    if wrong:
        row = wrong[0]
        raise UserError(f"{path}: row {row.number - 1}: {row.actual_columns} fields, not {row.expected_columns}")


def _numbers(path: Path, table: pa.Table, name: str) -> Floats:
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        _refuse(path, name, column)
    values = column.to_numpy().astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{path}: row {row + 1}, column {name!r}: {_shown(column[row])} is not a finite number")
    return values


def _refuse(path: Path, name: str, column: pa.ChunkedArray) -> NoReturn:
    """Name the first value of a column that is not a number."""
    for row, value in enumerate(column, 1):
        try:
            float(value.as_py())
        except (TypeError, ValueError):
            raise UserError(f"{path}: row {row}, column {name!r}: {_shown(value)} is not a number") from None
    raise UserError(f"{path}: column {name!r} is of type {column.type}: store it as numbers")


def _shown(scalar: pa.Scalar) -> str:
    value = scalar.as_py()
    text = repr(value) if isinstance(value, str | bytes) else "an empty value" if value is None else str(value)
    return text if len(text) < 40 else f"{text[:40]}..."


def _labels(path: Path, table: pa.Table, classes: int) -> Integers:
    values = _numbers(path, table, "label")
    bad = np.flatnonzero((values != np.floor(values)) | (values < 0) | (values >= classes))
    if len(bad):
        raise UserError(
            f"{path}: row {bad[0] + 1}, column 'label': {values[bad[0]]:g} is not a class: use 0 to {classes - 1}"
        )
    return values.astype(np.int64)


def _check_probabilities(path: Path, names: list[str], values: Floats) -> None:
    outside = np.argwhere((values < 0) | (values > 1))
    if len(outside):
        row, column = outside[0]
        raise UserError(
            f"{path}: row {row + 1}, column '{names[column]}': {values[row, column]:g} is outside 0 to 1: "
            "give probabilities, or name the columns logit0, logit1, ..."
        )
    sums = values.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(off):
        raise UserError(f"{path}: row {off[0] + 1}: {names[0]} to {names[-1]} sum to {sums[off[0]]:.6g}, not to 1")
