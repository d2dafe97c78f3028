"""Audit a folder of published predictions: every pair, both protocols, and whether tuning restored the property."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from confidistill.confidence.measures import measure
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.verdict import Protocol, verdict
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.report.pair import TRAIN, split_name
from confidistill.report.tables import interval, markdown, percent, released
from confidistill.report.tuned import Tuned, guard_kept, table3, table3_renderings

TEACHER, STUDENT, TUNED = "teacher", "student-", "-tuned"
SPLITS = ("train", "dev")
PROTOCOLS: tuple[Protocol, ...] = ("definition", "released")
MEASURES = (
    *("examples", "accuracy_teacher", "accuracy_student", "ece_teacher", "ece_student", "agreement"),
    *("sigma", "sigma_low", "sigma_high", "sigma_upper", "sigma_released", "released_left_out"),
)
BySplit = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Audit:
    """What a folder of predictions says.

    `table` has one row a task x student x split. `verdict` is phi_cnf of train by `protocol`, told on each row of the
    pair, None where train is not at hand; for a tuned student `accuracy_change` is against the untuned one on the same
    split, and `guard` says whether it lost less than a point.
    """

    table: pd.DataFrame
    tuned: list[Tuned]
    problems: list[str]
    """A line for each pair and split that could not be audited: which, and why."""


def audit_folder(folder: Path, *, protocol: Protocol, kappa: float) -> Audit:
    """Audit `<TASK>/{teacher,student-NAME[-tuned]}/{train,dev}.csv` (or .parquet); what is unusable is a problem.

    Raises:
        UserError: the folder has no task, or nothing in it can be audited; not 0 < kappa < 1.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    tasks = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not tasks:
        raise UserError(f"{folder}: no task folder in it: expected <TASK>/{TEACHER}/train.csv")
    rows, tuned, problems = [], [], []
    for task in tasks:
        measured, wrong = _measure_task(task)
        problems += wrong
        for student, by_split in measured.items():
            untuned = measured.get(student.removesuffix(TUNED), {}) if student.endswith(TUNED) else {}
            rows += _rows(task.name, student, by_split, untuned, protocol, kappa)
            if TRAIN in by_split and TRAIN in untuned:
                tuned.append(Tuned(task.name, student.removesuffix(TUNED), untuned, by_split, protocol, kappa))
    if not rows:
        raise UserError(problems[0])
    return Audit(pd.DataFrame(rows), tuned, problems)


def _measure_task(task: Path) -> tuple[dict[str, BySplit], list[str]]:
    """The measures of every student and split, and what could not be measured."""
    students = sorted(path.name for path in task.glob(f"{STUDENT}*") if path.is_dir())
    if not (task / TEACHER).is_dir() or not students:
        return {}, [f"{task}: needs a folder '{TEACHER}' and at least one '{STUDENT}NAME'"]
    measured: dict[str, BySplit] = {}
    problems = []
    for student in students:
        for split in SPLITS:
            try:
                pair = read_pair(_file(task / TEACHER, split), _file(task / student, split))
            except UserError as error:
                problems.append(f"{task.name} {student.removeprefix(STUDENT)} {split}: {error}")
            else:
                measured.setdefault(student.removeprefix(STUDENT), {})[split] = measure(*pair)
    return measured, problems


def _rows(
    task: str, student: str, by_split: BySplit, untuned: BySplit, protocol: Protocol, kappa: float
) -> list[dict[str, Any]]:
    train = by_split.get(TRAIN)
    verdicts = {name: verdict(train, name, kappa) if train else None for name in PROTOCOLS}
    rows = []
    for split, values in by_split.items():
        row: dict[str, Any] = {"task": task, "student": student, "split": split_name(split)}
        row |= {name: values[name] for name in MEASURES}
        row |= {f"verdict_{name}": reached for name, reached in verdicts.items()}
        row |= {"verdict": verdicts[protocol], "accuracy_change": None, "guard": None}
        if split in untuned:
            change = values["accuracy_student"] - untuned[split]["accuracy_student"]
            row |= {"accuracy_change": change, "guard": guard_kept(untuned[split], values)}
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
            (reached or "") if split == split_name(TRAIN) else ""
            for split, reached in zip(table["split"], table[f"verdict_{name}"], strict=True)
        ]
    shown["accuracy against untuned"] = [
        "" if pd.isna(change) else f"{100 * change:+.1f} points, {'kept' if guard else 'LOST'}"
        for change, guard in zip(table["accuracy_change"], table["guard"], strict=True)
    ]
    return shown


def _both(row: dict[Any, Any], model: str) -> str:
    return f"{percent(row[f'accuracy_{model}'])} / {percent(row[f'ece_{model}'])}"


def render(audit: Audit, protocol: Protocol, kappa: float) -> str:
    """The audit for a terminal, with a count of the pairs for which the property holds, and what tuning changed."""
    pairs = audit.table.drop_duplicates(["task", "student"])
    counts = pairs["verdict"].value_counts()
    others = "".join(f", {name} for {count}" for name, count in counts.items() if name != "holds")
    held = f"holds for {counts.get('holds', 0)} of {len(pairs)} students{others}"
    parts = [
        display(audit.table).to_string(index=False),
        f"phi_cnf, sigma(Tr) <= {kappa:g} by protocol {protocol}: {held}",
    ]
    if audit.tuned:
        parts += ["", "untuned -> tuned", table3(audit.tuned).to_string(index=False)]
    return "\n".join(parts)


def write(table: pd.DataFrame, output: Path) -> None:
    """Write the audit as .csv or .json (numbers) or .md (as shown).

    Raises:
        UserError: another suffix.
    """
    renderings = {
        ".csv": table.to_csv(index=False),
        ".json": table.to_json(orient="records", indent=2) + "\n",
        ".md": markdown(display(table)),
    }
    _write(renderings, output)


def write_tuned(tuned: list[Tuned], output: Path) -> None:
    """Write the tuned students against the untuned, in the layout of Table 3.

    Raises:
        UserError: another suffix than .csv, .md, .tex or .html, or no student was tuned.
    """
    if not tuned:
        raise UserError(f"{output}: no student's folder ends in {TUNED!r}, beside one that does not")
    _write(table3_renderings(tuned), output)


def _write(renderings: dict[str, str], output: Path) -> None:
    if output.suffix not in renderings:
        raise UserError(f"{output}: write the table as {', '.join(renderings)}")
    with atomic_file(output) as path:
        path.write_text(renderings[output.suffix], encoding="utf-8")
