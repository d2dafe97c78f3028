"""Compute the goldens: `python -m tests.golden.make [PUBLISHED]`.

`losses.json` and `measures.json` come from inputs drawn here by seed and the plain formulas of `plain.py`.
`published.json` is written only where PUBLISHED is given: the folder of the predictions that Vengertsev & Sherman
(arXiv 2401.11365) released, `<task>/{teacher,student-<name>}/{train,dev}.csv`. It holds figures alone, a row a pair and
split.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden import plain

HERE = Path(__file__).parent
SEED = 2401_11365
LOGIT_LOSSES = (
    plain.soft_cross_entropy,
    plain.kl_divergence,
    plain.jensen_shannon,
    plain.squared_difference,
    plain.logit_mse,
)


def losses() -> list[dict[str, Any]]:
    """Every loss on small inputs: its value, and its gradient with respect to what comes from the student."""
    random = np.random.default_rng(SEED)
    mask = np.array([[1, 1, 1], [1, 1, 0]])
    scores = random.normal(0, 3, (2, 2, 2, 3, 3)).round(3)  # side, B, h, T, T
    scores[0, 0, 1, 2, 0] = -150.0  # a score that the reference drops
    states = random.normal(0, 1, (2, 2, 3, 2)).round(3)  # side, B, T, H
    logits = random.normal(0, 2, (2, 4, 3)).round(3)  # side, B, C
    cases = []
    for name, function, (student, teacher) in (
        ("attention_loss", plain.attention, scores),
        ("hidden_loss", plain.hidden, states),
    ):
        for padding in ("ignore", "reference"):

            def loss(at: np.ndarray, f: Any = function, t: np.ndarray = teacher, p: str = padding) -> complex:
                return f(at, t, mask, p)

            options = {"attention_mask": mask.tolist(), "padding": padding}
            cases.append(_case(name, student, teacher, options, loss))
    for function in LOGIT_LOSSES:
        for temperature in (1.0, 2.0):

            def loss(at: np.ndarray, f: Any = function, t: float = temperature) -> complex:
                return f(at, logits[1], t)

            cases.append(_case(function.__name__, logits[0], logits[1], {"temperature": temperature}, loss))
    return cases


def _case(name: str, student: np.ndarray, teacher: np.ndarray, options: dict[str, Any], loss: Any) -> dict[str, Any]:
    return {
        "loss": name,
        "student": student.tolist(),
        "teacher": teacher.tolist(),
        "options": options,
        "value": complex(loss(student.astype(complex))).real,
        "gradient": plain.gradient(loss, student).tolist(),
    }


def measures() -> list[dict[str, Any]]:
    """Pairs of small models that were never trained, of two classes and of three, and what is measured of them."""
    random = np.random.default_rng(SEED + 1)
    cases = []
    for classes in (2, 3):
        logits = random.normal(0, 2, (30, classes))
        noisy = logits + random.normal(0, 1, logits.shape)
        teacher, student = (_probabilities(z) for z in (logits, noisy))
        labels = np.where(random.random(30) < 0.8, teacher.argmax(1), random.integers(0, classes, 30))
        measured = plain.measures(teacher, student, labels)
        pair = {"teacher": teacher.tolist(), "student": student.tolist(), "labels": labels.tolist()}
        cases.append(pair | {"measures": measured})
    return cases


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax to four digits, each row made to sum to 1 by its last."""
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).round(4)
    probabilities[:, -1] = (1 - probabilities[:, :-1].sum(1)).round(4)
    return probabilities


def published(folder: Path) -> list[dict[str, Any]]:
    """A row for each student and split whose rows are the teacher's: task, student, split, measures."""
    rows = []
    for path in sorted(folder.glob("*/student-*/*.csv")):
        teacher, student = (read(file) for file in (path.parents[1] / "teacher" / path.name, path))
        if len(teacher[1]) == len(student[1]):  # MRPC's students were run on test, its teacher on dev
            names = {"task": path.parts[-3], "student": path.parts[-2].removeprefix("student-"), "split": path.stem}
            measured = plain.measures(teacher[0], student[0], student[1])
            rows.append(names | {name: round(value, 7) for name, value in measured.items()})
    return rows


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 2) and labels (N,) of a released file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    probabilities = np.array([[float(row["p0"]), float(row["p1"])] for row in rows])
    return probabilities, np.array([int(float(row["label"])) for row in rows])


def write(name: str, cases: list[dict[str, Any]]) -> None:
    """A case a line, so that a change is seen where it is."""
    (HERE / name).write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    write("losses.json", losses())
    write("measures.json", measures())
    if sys.argv[1:]:
        write("published.json", published(Path(sys.argv[1])))
