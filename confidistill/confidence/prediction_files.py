"""Files of predictions: p0..pK or logit0..logitK, and label; CSV, TSV, JSON lines, Parquet, a folder of `datasets`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from confidistill.confidence.columns import column_names, read_batches, refuse_value, shown_names
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
        path: CSV (.tsv: tabs) in UTF-8 or UTF-16, JSON lines (.jsonl), each perhaps .gz, Parquet, or a folder that
            `datasets` saved.
        labelled: else no column label is needed, and one that is there is ignored.
        classes: the names of the classes in the order of p0, p1, ..., for labels that are words.

    Where a file has both, p must be the softmax of the logits. Of two classes, p1 alone will do. Rows of probabilities
    that were rounded to few digits are divided by their sum, which `note` tells.

    Raises:
        UserError: no such file, a file of another kind, a column is missing or not numeric, fewer than two classes, a
            value is missing or not finite, a probability is outside 0..1, a row does not sum to 1, a label is not a
            class. The message names file, row (1 is the first after the header) and column.
    """
    file = PredictionFile(path, labelled=labelled, classes=classes)
    (batch,) = file.batches()
    return replace(batch.predictions, note=file.note)


def read_pair(
    teacher: Path, student: Path, *, labelled: bool = True, classes: Sequence[str] | None = None
) -> tuple[Predictions, Predictions]:
    """Read two prediction files of the same examples in the same order; see `read_predictions`.

    Raises:
        UserError: one cannot be read, or their lengths, classes or labels differ.
    """
    files = [PredictionFile(path, labelled=labelled, classes=classes) for path in (teacher, student)]
    ((first, second),) = read_together(files)
    return replace(first.predictions, note=files[0].note), replace(second.predictions, note=files[1].note)


def from_arrays(
    name: str, values: Any, labels: Any = None, *, logits: bool = False, classes: Sequence[str] | None = None
) -> Predictions:
    """Predictions of arrays, checked as files are; `name` stands for the file in errors.

    Args:
        values: (N, C) probabilities, or logits if `logits` says so; of two classes (N,), the probability of the second.
            Whatever numpy or torch makes an array of.
        labels: (N,) class ids, or names of `classes`; None: unlabelled.

    Raises:
        UserError: another shape, or as `read_predictions`.
    """
    array = _array(values)
    if array.ndim not in (1, 2) or (array.ndim == 1 and logits):
        raise UserError(f"{name}: an array of shape {array.shape}: give one of (examples, classes)")
    if array.ndim == 1:
        columns = {"p1": array}
    else:
        kind = "logit" if logits else "p"
        columns = {f"{kind}{index}": column for index, column in enumerate(array.T)}
    if labels is not None:
        given = _array(labels)
        if given.shape != array.shape[:1]:
            raise UserError(f"{name}: {len(array)} rows, and labels of shape {given.shape}: give a label a row")
        columns["label"] = given
    file = PredictionFile(Path(name), labelled=labels is not None, classes=classes)
    predictions = file.parsed(pd.DataFrame(columns))
    return replace(predictions, note=file.note)


def _array(values: Any) -> np.ndarray:
    """An array of numbers, or of words; a tensor of any device and precision becomes one of doubles."""
    return np.asarray(values.detach().cpu().double().numpy() if hasattr(values, "detach") else values)


class Batch(NamedTuple):
    """Rows of a prediction file: (N, C) and (N,)."""

    predictions: Predictions
    groups: pd.Series | None


class PredictionFile:
    """A prediction file that is read in batches, for those that are larger than memory; see `read_predictions`.

    `by` names a column that is read besides. `note` says, once all is read, what reading had to do.
    """

    def __init__(
        self, path: Path, *, labelled: bool = True, classes: Sequence[str] | None = None, by: str | None = None
    ) -> None:
        self.path, self.labelled, self.classes, self.by = Path(path), labelled, classes, by
        self._rounded = _Rounded(0, 1.0, 1.0)

    @property
    def note(self) -> str | None:
        rows, low, high = self._rounded
        if not rows:
            return None
        told = f"{rows:,} rows of rounded probabilities sum to {low:.6g} to {high:.6g}"
        return f"{self.path}: {told}: each row was divided by its sum"

    def has(self, column: str) -> bool:
        """Whether it has a column of that name."""
        return column in column_names(self.path)

    def batches(self, rows: int | None = None) -> Iterator[Batch]:
        """`rows` of them at a time, the last perhaps fewer; None: all at once.

        Raises:
            UserError: as `read_predictions`.
        """
        wanted = [r"(p|logit)\d+", *(["label"] if self.labelled else []), *([re.escape(self.by)] if self.by else [])]
        for number, table in enumerate(read_batches(self.path, "|".join(wanted), rows)):
            if len(table) or not number:
                yield Batch(self.parsed(table), table[self.by] if self.by else None)

    def parsed(self, table: pd.DataFrame) -> Predictions:
        """The predictions of some of its rows.

        Raises:
            UserError: as `read_predictions`.
        """
        path = self.path
        if self.labelled and "label" not in table:
            raise UserError(
                f"{path}: no column 'label': its columns are {shown_names(path)}: add it, or judge --unlabelled"
            )
        names = {kind: _class_columns(path, table, kind) for kind in ("p", "logit")}
        if not any(names.values()):
            raise UserError(
                f"{path}: no columns p0, p1, ... or logit0, logit1, ...: its columns are {shown_names(path)}"
            )
        if not len(table):
            raise UserError(f"{path}: no rows: give at least one prediction")
        logits = None
        if names["p"]:
            probabilities, rounded = _probabilities(path, table, names["p"])
        if names["logit"]:
            logits = np.column_stack([_numbers(path, table, name) for name in names["logit"]])  # (N, C)
            if names["p"]:
                _check_agreement(path, table, names["p"], probabilities, softmax(logits))
            probabilities = softmax(logits)
        elif rounded:
            rows, low, high = self._rounded
            self._rounded = _Rounded(rows + rounded.rows, min(low, rounded.low), max(high, rounded.high))
        labels = _labels(path, table, probabilities.shape[1], self.classes) if self.labelled else None
        return Predictions(probabilities, labels, logits)


def read_together(files: Sequence[PredictionFile], rows: int | None = None) -> Iterator[tuple[Batch, ...]]:
    """Batches of the same examples in the same order; the first file is the teacher's.

    Raises:
        UserError: one cannot be read, or, said when all is read, their lengths, classes or labels differ.
    """
    counts, unlike = [0] * len(files), [_Unlike() for _ in files]
    for batches in zip_longest(*(file.batches(rows) for file in files)):
        for index, batch in enumerate(batches):
            counts[index] += len(batch.predictions.probabilities) if batch else 0
        if len({batch and len(batch.predictions.probabilities) for batch in batches}) > 1:
            continue  # to count them all
        first = batches[0].predictions
        for file, batch, labels in zip(files[1:], batches[1:], unlike[1:], strict=True):
            classes, others = first.probabilities.shape[1], batch.predictions.probabilities.shape[1]
            if classes != others:
                raise UserError(
                    f"{files[0].path} has {classes} classes, {file.path} has {others}: both must have the same"
                )
            labels.compare(first, batch.predictions, counts[0])
        if not any(labels.rows for labels in unlike) and len(set(counts)) == 1:
            yield batches
    for file, count, labels in zip(files, counts, unlike, strict=True):
        if count != counts[0]:
            raise UserError(
                f"{files[0].path} has {counts[0]} rows, {file.path} has {count}: "
                "both must hold the same examples in the same order"
            )
        if labels.rows:
            raise UserError(
                f"{files[0].path} and {file.path}: {labels.first} ({labels.rows} rows differ): "
                "both must hold the same examples in the same order"
            )


class _Unlike:
    """The rows whose labels are not the teacher's: how many, and the first."""

    def __init__(self) -> None:
        self.rows, self.first = 0, ""

    def compare(self, teacher: Predictions, student: Predictions, read: int) -> None:
        """`read` counts the rows of the file up to the end of these batches."""
        if teacher.labels is None or student.labels is None:
            return
        differing = np.flatnonzero(teacher.labels != student.labels)
        if len(differing) and not self.rows:
            row = differing[0]
            number = read - len(teacher.labels) + row + 1
            self.first = f"row {number}: label {teacher.labels[row]} against {student.labels[row]}"
        self.rows += len(differing)


class _Rounded(NamedTuple):
    """Rows of rounded probabilities, and the least and the greatest of all rows' sums."""

    rows: int
    low: float
    high: float


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


def _probabilities(path: Path, table: pd.DataFrame, names: list[str]) -> tuple[Floats, _Rounded | None]:
    """(N, C), each row of sum 1, and what was rounded."""
    values = np.column_stack([_numbers(path, table, name) for name in names])
    outside = np.argwhere((values < 0) | (values > 1))
    if len(outside):
        row, column = outside[0]
        raise UserError(
            f"{path}: row {table.index[row] + 1}, column '{names[column]}': {values[row, column]:g} is outside 0 to 1: "
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
        place = f"{path}: row {table.index[row] + 1}"
        raise UserError(f"{place}: {names[0]} to {names[-1]} sum to {sums[row]:.6g}, not to 1")
    return values / sums[:, None], _Rounded(int(np.sum(gaps > SUM_TOLERANCE)), float(sums.min()), float(sums.max()))


def _step(values: Floats) -> float:
    """The last digit that a file of numbers was rounded to: 0.1, 0.01, ...; 0 where that is beyond the sixth."""
    for digits in range(1, 7):
        scaled = values * 10**digits
        if np.abs(scaled - np.rint(scaled)).max() < 1e-6:
            return 10.0**-digits
    return 0.0


def _check_agreement(path: Path, table: pd.DataFrame, names: list[str], given: Floats, computed: Floats) -> None:
    if given.shape != computed.shape:
        raise UserError(f"{path}: {given.shape[1]} classes have a probability, {computed.shape[1]} a logit")
    gaps = np.abs(given - computed)
    tolerance = 1e-3
    if gaps.max() > tolerance:
        tolerance = max(tolerance, 0.51 * _step(given))
    if gaps.max() > tolerance:
        row, column = np.argwhere(gaps > tolerance)[0]
        raise UserError(
            f"{path}: row {table.index[row] + 1}: p{column} is {given[row, column]:.6g}, the logits' softmax "
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
            f"{path}: row {table.index[bad[0]] + 1}, column 'label': {values[bad[0]]:g} is not a class: "
            f"use 0 to {count - 1}"
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
            f"{path}: row {column.index[row] + 1}, column 'label': unknown label {str(column.iloc[row])[:40]!r}: "
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
