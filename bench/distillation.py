"""Both stages of task distillation as configured here, beside the reference's way and TextBrewer's, in examples/s.

    python -m bench.distillation [--glue FOLDER] [--task NAME ...] [--rows 2048] [--padded-rows 256] [--rounds 3]
                                 [--precision auto]

On a task's train text, by default those of data/raw in a clone that ran the quickstart. Random weights of MiniLM's
shape and of S_3L's or S_2L's; batches of 32. Ours multiplies in `--precision`, by default what the profiles' `auto`
comes to here, the others in fp32. Text is tokenised and models are built beforehand for all ways;
what is timed is loading of batches, the teacher, the steps and the checkpoints (ours: every 200 steps and the last).
The ways, which are modules of bench/peers, run in turn. Those that pad to 128 tokens take `--padded-rows` rows for one
epoch, since their speed depends on neither; the others take 3 epochs, as the paper's profile does, over which what is
done once counts. "both stages" is of the time of an epoch of each, and "students" the geometric mean of that over them.
TextBrewer is left out where it is not installed.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from bench.options import add_text, needed, parser, texts
from bench.peers import ours, reference
from bench.peers.job import BATCH, LENGTH, Job
from bench.results import Report
from bench.shapes import STUDENTS
from bench.timing import in_turn, seconds
from confidistill.distillation.data import Examples
from confidistill.distillation.precision import DTYPES, Precision, resolve
from confidistill.errors import exits_cleanly
from confidistill.text.tokens import load_tokenizer

OURS = "ours"
EPOCHS = 3


class Way(NamedTuple):
    """How to distil, and whether it pads every text to 128 tokens."""

    prepare: Callable[[Job], Callable[[Path], None]]
    pads: bool


def ways() -> dict[str, Way]:
    found = {OURS: Way(ours.prepared, False), "the reference's way": Way(reference.prepared, True)}
    if find_spec("textbrewer") is None:
        print("TextBrewer is left out: .venv/bin/pip install -c constraints.txt -e '.[bench]'\n")
        return found
    from bench.peers import textbrewer

    return found | {
        "TextBrewer, our batches": Way(textbrewer.at_its_best, False),
        "TextBrewer, padded to 128": Way(textbrewer.as_usual, True),
    }


def speed(way: Way, stage: int, student: str, examples: Examples, seed: int, precision: Precision) -> float:
    """Examples a second."""
    torch.manual_seed(seed)
    epochs = 1 if way.pads else EPOCHS
    run = way.prepare(Job(stage, student, examples, epochs, seed, precision))
    with TemporaryDirectory() as folder:
        return epochs * len(examples) / seconds(lambda: run(Path(folder)))


def both(stages: Sequence[Sequence[float]]) -> list[float]:
    """Examples that go through an epoch of each stage in a second, round by round."""
    return [1 / sum(1 / each for each in speeds) for speeds in zip(*stages, strict=True)]


def compare(
    report: Report,
    task: str,
    contenders: Mapping[str, Way],
    students: Sequence[str],
    *,
    few: Examples,
    many: Examples,
    rounds: int,
    seed: int,
    precision: Precision,
) -> None:
    """All rows of a task; ways that pad take `few` examples, the others `many`."""
    ratios: dict[str, list[float]] = {name: [] for name in contenders if name != OURS}
    for student in students:
        stages: list[Mapping[str, list[float]]] = []
        for stage in (1, 2):
            works = {
                name: partial(speed, way, stage, student, few if way.pads else many, seed, precision)
                for name, way in contenders.items()
            }
            stages.append(in_turn(works, rounds))
        for name in ratios:
            for stage, speeds in enumerate(stages, 1):
                report.beside(f"{task}, {student}, stage {stage}", speeds[OURS], "examples/s", name, speeds[name])
            own, theirs = (both([speeds[way] for speeds in stages]) for way in (OURS, name))
            row = report.beside(f"{task}, {student}, both stages", own, "examples/s", name, theirs)
            ratios[name].append(row.ratio or 0)
    for name, each in ratios.items():
        report.number(f"{task}, students, both stages", name, statistics.geometric_mean(each))


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    add_text(options, rows=2048)
    options.add_argument("--padded-rows", type=int, default=256)
    options.add_argument("--tokenizer", type=Path, default=Path("models/base"))
    options.add_argument("--student", choices=STUDENTS, action="append", help="default: S_3L and S_2L")
    options.add_argument("--precision", choices=("auto", *DTYPES), default="auto", help="ours; default: auto")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(arguments)
    tokenizer = load_tokenizer(needed(asked.tokenizer))
    tables = texts(asked.glue, asked.task, asked.rows, asked.seed)
    precision = resolve(asked.precision).precision
    contenders = ways()
    report = Report(
        "distillation", dtype=f"{precision}, the others fp32", seed=asked.seed, batch=BATCH, max_length=LENGTH,
        rows=asked.rows, padded_rows=asked.padded_rows, rounds=asked.rounds,
    )  # fmt: skip
    tokens = {}
    for task, table in tables.items():
        many, few = (
            Examples(tokenizer, part.assign(label=0), LENGTH) for part in (table, table.head(asked.padded_rows))
        )
        tokens[task] = sum(many.lengths) / len(many)
        report.figure(f"{task}, an example", tokens[task], "tokens")
        compare(
            report, task, contenders, asked.student or ["S_3L", "S_2L"], few=few, many=many, rounds=asked.rounds,
            seed=asked.seed, precision=precision,
        )  # fmt: skip
    report.write(tokens=tokens)


if __name__ == "__main__":
    main()
