"""Prediction as `predict_teacher` and `evaluate` do it, beside padding and transformers' pipeline, in examples/s.

    python -m bench.prediction [--model FOLDER ...] [--glue FOLDER] [--task NAME ...] [--rows 512] [--rounds 3]

Of fine-tuned classifiers, by default the teacher and the students of the first task of a clone that ran the quickstart,
on a task's train text, by default those of data/raw. Ours, and the same batch size with every text padded to 128
tokens, and `pipeline("text-classification")` at its defaults, which takes a text at a time and gives a class and not
its logits. Models are loaded beforehand; tokenising counts. Then `evaluate`'s measures of two models' logits, with all
resamples, in rows/s beside the prediction.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import pipeline

from bench.options import add_text, needed, parser, texts
from bench.peers.padding import Padded
from bench.results import Report
from bench.timing import in_turn, seconds
from confidistill.classifiers import open_classifier
from confidistill.confidence.measures import evaluate
from confidistill.confidence.predictions import from_logits
from confidistill.errors import UserError, exits_cleanly

BATCH, LENGTH = 64, 128
MEASURED = 10_000  # rows of logits


def compare(report: Report, folder: Path, task: str, table: pd.DataFrame, rounds: int) -> float:
    """The rows of one model on one table; ours in examples/s."""
    own = open_classifier(folder, max_length=LENGTH)
    padded = Padded(folder, max_length=LENGTH, batch_size=BATCH)
    transformers_pipeline = pipeline("text-classification", model=str(folder))
    names = [name for name in ("text", "text_pair") if name in table]
    inputs: Any = table[names].to_dict("records") if len(names) == 2 else table["text"].tolist()
    works: dict[str, Callable[[], object]] = {
        "ours": partial(own.logits, table),
        "padded to 128": partial(padded.logits, table),
        "transformers' pipeline": partial(transformers_pipeline, inputs),
    }
    head = table.head(BATCH)
    if not np.allclose(own.logits(head), padded.logits(head), atol=1e-3):
        raise UserError(f"{folder}: padded to {LENGTH} tokens it gives other logits: they cannot be compared")
    found = in_turn({name: partial(speed, work, len(table)) for name, work in works.items()}, rounds)
    what = f"{folder.relative_to('models') if folder.is_relative_to('models') else folder.name}, {task}"
    for name in list(works)[1:]:
        row = report.beside(what, found["ours"], "examples/s", name, found[name])
    return row.value or 0


def speed(work: Callable[[], object], rows: int) -> float:
    return rows / seconds(work)


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, action="append", help="a fine-tuned classifier")
    add_text(options, rows=512)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(arguments)
    tables = texts(asked.glue, asked.task, asked.rows, asked.seed)
    first = needed(Path("models/teacher")) if not asked.model else None
    task = sorted(path.name for path in first.iterdir())[0] if first else ""
    folders = asked.model or [Path("models/teacher") / task, *sorted(needed(Path("models/student") / task).iterdir())]
    report = Report("prediction", dtype="fp32", seed=asked.seed, batch=BATCH, max_length=LENGTH, rows=asked.rows)
    speeds = [
        compare(report, folder, task, table, asked.rounds) for folder in folders for task, table in tables.items()
    ]
    random = np.random.default_rng(asked.seed)
    labels = random.integers(0, 2, MEASURED)
    models = [from_logits(random.normal(size=(MEASURED, 2)), labels) for _ in range(2)]
    measures = in_turn({"": partial(speed, partial(evaluate, *models), MEASURED)}, asked.rounds)[""]
    report.beside("evaluate's measures", measures, "rows/s", "the fastest prediction", [max(speeds)] * asked.rounds)
    report.write()


if __name__ == "__main__":
    main()
