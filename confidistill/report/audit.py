"""Audit a folder of published predictions: every pair, both protocols, and whether tuning restored the property."""

from pathlib import Path
from typing import Any

import pandas as pd

from confidistill.confidence.measures import evaluate
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.verdict import Protocol, verdict
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.report.pair import TRAIN, split_name
from confidistill.report.tables import interval, markdown, percent, released

TEACHER, STUDENT, TUNED = "teacher", "student-", "-tuned"
SPLITS = ("train", "dev")
PROTOCOLS: tuple[Protocol, ...] = ("definition", "released")
GUARD = 0.01  # a tuned student may lose less than this share of accuracy against the untuned one
MEASURES = (
    *("examples", "accuracy_teacher", "accuracy_student", "ece_teacher", "ece_student", "agreement"),
    *("sigma", "sigma_low", "sigma_high", "sigma_released", "released_left_out"),
)


def audit_folder(folder: Path, *, protocol: Protocol, kappa: float) -> pd.DataFrame:
    """One row a task x student x split of `<TASK>/{teacher,student-NAME[-tuned]}/{train,dev}.csv` (or .parquet).

    `verdict` is phi_cnf of train by `protocol`, told on each row of the pair; for a tuned student `accuracy_change`
    is against the untuned one on the same split, and `guard` says whether it lost less than a point.

    Raises:
        UserError: the folder has no task, a task no teacher or no student, or a file is unusable.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    tasks = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not tasks:
        raise UserError(f"{folder}: no task folder in it: expected <TASK>/{TEACHER}/train.csv")
    return pd.DataFrame([row for task in tasks for row in _task_rows(task, protocol, kappa)])


def _task_rows(task: Path, protocol: Protocol, kappa: float) -> list[dict[str, Any]]:
    students = sorted(path.name for path in task.glob(f"{STUDENT}*") if path.is_dir())
    if not (task / TEACHER).is_dir() or not students:
        raise UserError(f"{task}: needs a folder '{TEACHER}' and at least one '{STUDENT}NAME'")
    measured = {
        (student, split): evaluate(
            *read_pair(_file(task / TEACHER, split), _file(task / student, split)), protocol=protocol, kappa=kappa
        ).measures
        for student in students
        for split in SPLITS
    }
    rows = []
    for (student, split), values in measured.items():
        row: dict[str, Any] = {"task": task.name, "student": student.removeprefix(STUDENT), "split": split_name(split)}
        row |= {name: values[name] for name in MEASURES}
        row |= {f"verdict_{name}": verdict(measured[student, TRAIN], name, kappa) for name in PROTOCOLS}
        row |= {"verdict": row[f"verdict_{protocol}"], "accuracy_change": None, "guard": None}
        untuned = student.removesuffix(TUNED)
        if untuned != student and (untuned, split) in measured:
            change = values["accuracy_student"] - measured[untuned, split]["accuracy_student"]
            row |= {"accuracy_change": change, "guard": bool(change > -GUARD)}
        rows.append(row)
    return rows


def _file(folder: Path, split: str) -> Path:
    for path in (folder / f"{split}.csv", folder / f"{split}.parquet"):
        if path.is_file():
            return path
    raise UserError(f"{folder / split}.csv: no such file, nor a .parquet")


def display(table: pd.DataFrame) -> pd.DataFrame:
    """The audit in a reader's form: strings, % for shares; the verdict stands on the row it is reached on, Tr."""
    shown = table[["task", "student", "split"]].copy()
    shown["teacher acc / ECE"] = [_both(row, "teacher") for row in table.to_dict("records")]
    shown["student acc / ECE"] = [_both(row, "student") for row in table.to_dict("records")]
    shown["σ definition [95 %]"] = [interval(row, "sigma") for row in table.to_dict("records")]
    shown["σ released (left out)"] = [released(row) for row in table.to_dict("records")]
    for name in PROTOCOLS:
        shown[f"by {name}"] = [
            reached if split == split_name(TRAIN) else ""
            for split, reached in zip(table["split"], table[f"verdict_{name}"], strict=True)
        ]
    shown["accuracy against untuned"] = [
        "" if pd.isna(change) else f"{100 * change:+.1f} points, {'kept' if guard else 'LOST'}"
        for change, guard in zip(table["accuracy_change"], table["guard"], strict=True)
    ]
    return shown


def _both(row: dict[Any, Any], model: str) -> str:
    return f"{percent(row[f'accuracy_{model}'])} / {percent(row[f'ece_{model}'])}"


def render(table: pd.DataFrame, protocol: Protocol, kappa: float) -> str:
    """The audit for a terminal, with a count of the pairs for which the property holds."""
    pairs = table.drop_duplicates(["task", "student"])
    held = int((pairs["verdict"] == "holds").sum())
    summary = f"phi_cnf, sigma(Tr) <= {kappa:g} by protocol {protocol}: holds for {held} of {len(pairs)} students"
    return f"{display(table).to_string(index=False)}\n{summary}"


def write(table: pd.DataFrame, output: Path) -> None:
    """Write the audit as .csv or .json (numbers) or .md (as shown).

    Raises:
        UserError: another suffix.
    """
    renderings = {
        ".csv": lambda: table.to_csv(index=False),
        ".json": lambda: table.to_json(orient="records", indent=2) + "\n",
        ".md": lambda: markdown(display(table)),
    }
    if output.suffix not in renderings:
        raise UserError(f"{output}: write the table as {', '.join(renderings)}")
    with atomic_file(output) as path:
        path.write_text(renderings[output.suffix]())
