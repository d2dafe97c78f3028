"""Check a student against its teacher, given as files or as arrays: the surface of the library (docs/library.md)."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from confidistill.confidence import difference
from confidistill.confidence.groups import Groups
from confidistill.confidence.judgement import Verdict, judge
from confidistill.confidence.measures import Measurement
from confidistill.confidence.prediction_files import PredictionFile, from_arrays, read_together
from confidistill.confidence.predictions import Predictions
from confidistill.confidence.verdict import Protocol, check_kappa
from confidistill.errors import UserError

BATCH = 2**18  # rows of each file that are in memory at a time
PROTOCOLS = get_args(Protocol)


def check(
    teacher: Any,
    student: Any,
    labels: Any = None,
    *,
    protocol: Protocol = "definition",
    kappa: float = 0.05,
    logits: bool = False,
    labelled: bool = True,
    classes: Sequence[str] | None = None,
    by: Any = None,
    seed: int = 0,
) -> Verdict:
    """Judge a student by its predictions and its teacher's for the same rows in the same order.

    Args:
        teacher, student: both paths of prediction files (see `read_predictions`), which are read in batches; or both
            arrays: (N, C) probabilities, or (N,) those of the second of two classes.
        labels: (N,) class ids, or names of `classes`, for arrays; files have a column `label`.
        protocol: which reading of delta and sigma judges.
        logits: the arrays hold logits.
        labelled: False: the files have no label, or none that counts; sigma alone is judged, as of arrays without any.
        classes: names of the classes in the order of p0, p1, ..., where labels are words.
        by: name of a column of a file, or (N,) values: `groups` of the verdict has sigma of each value's rows.
        seed: of the bootstrap, and of the order in which betting takes the rows.

    Raises:
        UserError: unusable input, in one line that says what is wrong, where, and what to do; not 0 < kappa < 1;
            `released` without labels.
    """
    if _is_path(teacher) and _is_path(student):
        if labels is not None or logits:
            raise UserError("labels and logits are for arrays: files have columns label and logit0, logit1, ...")
        (verdict,) = check_files(
            Path(teacher), [Path(student)], protocol=protocol, kappa=kappa, labelled=labelled, classes=classes,
            by=by, seed=seed,
        )  # fmt: skip
        return verdict
    check_kappa(kappa)
    _check_protocol(protocol, labels is not None)
    pair = pair_of_arrays(teacher, student, labels, logits, classes)
    measurement = Measurement()
    measurement.add(*pair)
    groups = None
    if by is not None:
        values = pd.Series(by)
        if len(values) != len(pair[0].probabilities):
            raise UserError(f"by: {len(values)} values for {len(pair[0].probabilities)} rows: give one a row")
        grouped = Groups("by")
        grouped.add(values, *pair)
        groups = grouped.table(seed)
    notes = tuple(predictions.note for predictions in pair if predictions.note)
    return judge(measurement.measures(seed=seed), protocol=protocol, kappa=kappa, groups=groups, notes=notes)


def measure(
    teacher: Any, student: Any, labels: Any = None, *, logits: bool = False, labelled: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Every measure by its name, as in measures.json; arguments and errors as of `check`."""
    return dict(check(teacher, student, labels, logits=logits, labelled=labelled, seed=seed).measures)


def sigma(teacher: Any, student: Any, *, logits: bool = False) -> float:
    """sigma by its definition (Eq. 4), of arrays; arguments and errors as of `check`."""
    pair = pair_of_arrays(teacher, student, None, logits)
    return difference.sigma(difference.pairwise_difference(*(predictions.probabilities for predictions in pair)))


def check_files(
    teacher: Path,
    students: Sequence[Path],
    *,
    protocol: Protocol = "definition",
    kappa: float = 0.05,
    labelled: bool = True,
    classes: Sequence[str] | None = None,
    by: str | None = None,
    seed: int = 0,
    rows: int = BATCH,
) -> list[Verdict]:
    """Judge several students by their prediction files, each of which is read once, `rows` at a time.

    Between batches sums are kept, and 8 to 16 bytes a row and student for the intervals, which need every delta; 15
    more with `by`, which names a column of the teacher's file or of one of the students'.

    Raises:
        UserError: as `check`.
    """
    check_kappa(kappa)
    _check_protocol(protocol, labelled)
    files = [PredictionFile(path, labelled=labelled, classes=classes) for path in (teacher, *students)]
    holder = 0
    if by is not None:
        holders = [index for index, file in enumerate(files) if file.has(by)]
        if not holders:
            raise UserError(f"--by {by}: no column of that name in {', '.join(str(file.path) for file in files)}")
        holder = holders[0]
        files[holder].by = by
    measurements = [Measurement() for _ in students]
    groups = [Groups(by) if by is not None else None for _ in students]
    for first, *others in read_together(files, rows):
        values = (first, *others)[holder].groups
        for measurement, grouped, other in zip(measurements, groups, others, strict=True):
            measurement.add(first.predictions, other.predictions)
            if grouped and values is not None:
                grouped.add(values, first.predictions, other.predictions)
    return [
        judge(
            measurement.measures(seed=seed),
            protocol=protocol,
            kappa=kappa,
            teacher=str(teacher),
            student=str(file.path),
            groups=grouped.table(seed) if grouped else None,
            notes=tuple(dict.fromkeys(note for note in (files[0].note, file.note) if note)),
        )
        for file, measurement, grouped in zip(files[1:], measurements, groups, strict=True)
    ]


def pair_of_arrays(
    teacher: Any, student: Any, labels: Any, logits: bool, classes: Sequence[str] | None = None
) -> tuple[Predictions, Predictions]:
    """Both models' predictions of arrays; arguments and errors as of `check`."""
    if _is_path(teacher) or _is_path(student):
        raise UserError("teacher and student are both files, or both arrays; sigma takes arrays")
    first, second = (
        from_arrays(name, values, labels, logits=logits, classes=classes)
        for name, values in (("teacher", teacher), ("student", student))
    )
    if first.probabilities.shape != second.probabilities.shape:
        shapes = f"{first.probabilities.shape}, the student's of {second.probabilities.shape}"
        raise UserError(f"the teacher's array is of shape {shapes}: both must hold the same examples and classes")
    return first, second


def _check_protocol(protocol: str, labelled: bool) -> None:
    if protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {protocol!r}: use {' or '.join(PROTOCOLS)}")
    if protocol == "released" and not labelled:
        raise UserError("protocol 'released' looks only at rows that both models get right: give labels")


def _is_path(value: Any) -> bool:
    return isinstance(value, str | PathLike)
