"""What each means of stage 2 gives a student, alone and together, over seeds.

python -m bench.ablation TASK STUDENT [--seeds 1,2,3] [--epochs 8] [--only NAME ...]

In a clone that has run the pair (`dvc repro evaluate@TASK-STUDENT`), from its intermediate student: stage 1 is the same
for all. Where the clone has several variants of a sentence (`augment.TASK.variants`), one of them is learnt, but in the
rows that say so; transfer text (`tasks.TASK.transfer`), where it has some, likewise. Writes
results/ablation/TASK-STUDENT.csv, a row a training, and .md, means over the seeds; what is there is not run again.
Sigma by `definition`; no setting is picked by any of it.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.options import parser
from confidistill.classifiers import open_classifier
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.measures import measure
from confidistill.confidence.predictions import from_logits, softmax
from confidistill.distillation.precision import supported
from confidistill.errors import exits_cleanly
from confidistill.files import atomic_file
from tasks.distill_prediction import distil
from tasks.params import Params, load
from tasks.tables import distillation_table, logits, splits, teacher_table

Means = Mapping[str, Any]
FOLDER = Path("results/ablation")
RATES = (5e-5, 1e-4, 2e-4)
MEASURES = ("sigma", "agreement", "accuracy_student")
TEMPERATURES = np.geomspace(0.5, 2, 57)  # among them 1


def loss(*names: str) -> Means:
    return {"loss": [{"name": name, "weight": 1.0} for name in names]}


def means(epochs: int, *, variants: bool, transfer: bool) -> dict[str, Means]:
    """What is compared, by name. Not settings of stage 2: `rows`, what it learns from beside the training set and one
    variant a sentence, and `scaled`, whether its head is given the temperature that is best on Tr.
    """
    patient: Means = {"epochs": epochs}
    still: Means = patient | {"dropout": 0.0}
    near: Means = still | {"keep": "sigma"}
    steady: Means = near | {"schedule": "constant", "warmup_ratio": 0.0}
    averaged: Means = steady | {"average": 4}
    compared: dict[str, Means] = {
        "as params.yaml has it": {},
        f"patience: {epochs} epochs": patient,
        "patience, no dropout": still,
        "patience, least sigma": patient | {"keep": "sigma"},
        "patience, no dropout, least sigma": near,
        "... and loss kl + sigma": near | loss("kl", "sigma"),
        "... and loss js": near | loss("js"),
        "... and loss logit_mse": near | loss("logit_mse"),
        "... and a constant rate": steady,
        "... and a constant rate, 4 epochs averaged": averaged,
        "... and these, a temperature in the head": averaged | {"scaled": True},
        "... and these, until sigma(Tr) <= 0.045": averaged | {"stop": {"sigma": 0.045, "patience": None}},
    }
    for rate in RATES:
        compared[f"... and these, at a rate of {rate:.0e}"] = averaged | {"learning_rate": rate}
    if supported("bf16"):
        compared["... and these, in bf16"] = averaged | {"precision": "bf16"}
    if variants:
        fresh: Means = averaged | {"variants": 1, "rows": {"variants"}}
        compared["... and these, another variant each epoch"] = fresh
    if transfer:
        compared["... and these, transfer text"] = averaged | {"rows": {"transfer"}}
    if variants and transfer:
        compared["... and these, both"] = fresh | {"rows": {"variants", "transfer"}}
    return compared


def learnt(task: str, rows: set[str]) -> pd.DataFrame:
    """The training set and the first variant of each sentence; all variants, transfer text, where `rows` has them."""
    table = distillation_table(task)
    of_transfer, first = table["origin"] < 0, table.groupby("origin").cumcount() <= 1
    return table[np.where(of_transfer, "transfer" in rows, first | ("variants" in rows))]


def train(params: Params, task: str, student: str, changes: Means, seed: int, folder: Path) -> dict[str, Any]:
    """Stage 2 with `changes` to the pair's settings: the measures on each split, and seconds."""
    pair, changed = f"{task}-{student}", dict(changes)
    rows, scaled = changed.pop("rows", set()), changed.pop("scaled", False)
    own = params.pairs[pair]
    changed_pair = own.model_copy(update={"prediction": {**own.prediction, **changed}})
    varied = params.model_copy(update={"pairs": params.pairs | {pair: changed_pair}})
    start, output = Path("models/intermediate", task, student), folder / "student"
    started = time.perf_counter()
    distil(varied, task, student, start, output, folder / "checkpoints", seed, table=learnt(task, rows))
    row: dict[str, Any] = {"seconds": round(time.perf_counter() - started, 1)}
    classifier = open_classifier(output, max_length=params.task(task).max_length)
    temperature = 1.0
    for split in splits(task):  # Tr first
        judged = teacher_table(task, split)
        labels, teachers, students = judged["label"].to_numpy(), logits(judged), classifier.logits(judged)
        if scaled and split == "train":
            temperature = nearest_temperature(teachers, students)
        measured = measure(*(from_logits(each, labels) for each in (teachers, students / temperature)), resamples=10)
        row |= {f"{name}_{split}": measured[name] for name in MEASURES}
    return row


def nearest_temperature(teachers: np.ndarray, students: np.ndarray) -> float:
    """The temperature that divides the students' logits for the least sigma; both (N, C)."""

    def distance(temperature: float) -> float:
        return sigma(pairwise_difference(softmax(teachers), softmax(students / temperature)))

    return float(min(TEMPERATURES, key=distance))


def summary(rows: pd.DataFrame) -> str:
    """Mean and deviation over the seeds, a line a means, as Markdown."""
    shown = [name for name in rows if name not in ("means", "seed") and not name.startswith("agreement_train")]
    lines = [f"| | {' | '.join(name.replace('accuracy_student', 'accuracy') for name in shown)} |"]
    lines.append(f"| :-- |{' --: |' * len(shown)}")
    for name, group in rows.groupby("means", sort=False):
        cells = []
        for column in shown:
            mean, deviation = group[column].mean(), group[column].std()
            if column == "seconds":
                cells.append(f"{mean:.0f}")
            elif column.startswith("sigma"):
                cells.append(f"{mean:.4f} ± {deviation:.4f}")
            else:
                cells.append(f"{100 * mean:.1f} ± {100 * deviation:.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@exits_cleanly
def main() -> None:
    options = parser(__doc__)
    options.add_argument("task")
    options.add_argument("student")
    options.add_argument("--seeds", default="1,2,3")
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--only", action="append", metavar="NAME")
    asked = options.parse_args()
    params = load()
    task, student = asked.task, asked.student
    file = FOLDER / f"{task}-{student}.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    settings, transfer = params.augment[task], params.task(task).transfer
    compared = means(
        asked.epochs, variants=settings is not None and settings.variants > 1, transfer=transfer is not None
    )
    only = asked.only or list(compared)
    for name in set(only) - compared.keys():
        options.error(f"--only {name!r}: there are {'; '.join(compared)}")
    for seed in map(int, asked.seeds.split(",")):
        for name in only:
            if any((row["means"], row["seed"]) == (name, seed) for row in rows):
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = train(params, task, student, compared[name], seed, Path(folder))
            rows.append({"means": name, "seed": seed} | row)
            print(rows[-1], flush=True)
            with atomic_file(file) as path:
                pd.DataFrame(rows).to_csv(path, index=False)
    text = summary(pd.DataFrame(rows))
    with atomic_file(file.with_suffix(".md")) as path:
        path.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
