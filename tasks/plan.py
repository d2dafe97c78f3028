"""`confidistill plan`: what each stage of params.yaml takes, on V100s and on this machine, before anything is run.

Work is counted in multiply-adds. A V100 sustains `V100` of them a second in fp32: fitted to the logs of the paper's
authors (6 layers: 196 examples/s in stage 1 and 218 in stage 2; 4 layers: 376 and 370; length 128, the teacher's
forward pass included), which it meets within 15 %. This machine's rate is that of training steps of a layer of each
shape, in fp32, measured for a moment. Every example counts with its task's full length, every augmented sentence with
as many variants as it may have, the teacher of stage 1 in every epoch: an upper bound. What a stage takes to start,
some seconds each, is not in it.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, product
from pathlib import Path
from typing import Annotated

import typer

from confidistill.sources.pins import PathSource
from confidistill.teachers.given import PredictionsTeacher
from confidistill.text.dataset import GlueData, HeldOut, SnippetsData, TableData
from confidistill.text.glue import TASKS
from confidistill.text.table import rows_at_most
from tasks.multiply_adds import Shape, measured_rate
from tasks.params import Params, load
from tasks.preflight import KNOWN, base_of
from tasks.sections import Student, Task
from tasks.tables import TRANSFER

V100 = 5.3e12  # multiply-adds a second, fp32
PRICE = 2.86  # USD an hour: list price of one V100 (2.48) and an n1-standard-8 (0.38), on demand, in us-central1
WIKIPEDIA_WORDS = 2_500_000_000
PIECES_PER_WORD = 1.3
MASKED_SHARE = 0.25  # of a text's positions: words that augmentation looks at, one masked-LM pass each
# Where a size is not known before it is fetched.
ASSUMED_BASE = "google-bert/bert-base-uncased"
ASSUMED_ROWS = 10_000
ASSUMED_WORDS = 10_000_000


Work = Counter[tuple[Shape, int]]
"""The multiply-adds of each encoder, by the length of its texts."""


@dataclass(frozen=True)
class Cost:
    """A stage, how many examples pass through it, and its work."""

    stage: str
    examples: int
    work: Work

    @property
    def hours(self) -> float:
        """On a V100."""
        return self.work.total() / V100 / 3600

    def minutes(self, rate: Callable[[Shape, int], float]) -> float:
        """On a machine with such a rate, in multiply-adds a second."""
        return sum(multiply_adds / rate(*of) for of, multiply_adds in self.work.items()) / 60


Stages = Iterator[tuple[str, float, Work]]
"""Stage, examples, the work for all of them."""


def forward(examples: float, shape: Shape, tokens: int) -> Work:
    """The work of a forward pass of each example."""
    return Counter({(shape, tokens): examples * shape.forward(tokens)})


def training(examples: float, shape: Shape, tokens: int) -> Work:
    """The work of a forward and a backward pass of each example."""
    return Counter({(shape, tokens): examples * shape.training(tokens)})


@dataclass
class Plan:
    """The cost of every stage marked for a GPU, in the order of the pipeline, and what was assumed for it."""

    params: Params
    assumed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._teacher = self._base_shape()
        self._students = {name: _shape(student) for name, student in self.params.students.items()}
        self._rows = {name: self._rows_of(name, task) for name, task in self.params.tasks.items()}
        self._transfer = {name: self._transfer_rows(name, task) for name, task in self.params.tasks.items()}
        self._tables = {
            name for name, given in self.params.models.teachers.items() if isinstance(given, PredictionsTeacher)
        }
        work = chain(
            self._augment(), self._teachers(), self._general(), self._stages(), self._evaluate(), self._once_more()
        )
        self.costs = [Cost(stage, int(examples), total) for stage, examples, total in work]

    def _augment(self) -> Stages:
        for name, settings in self.params.augment.items():
            if settings and self.params.models.mlm:
                rows, length = self._rows[name]["train"], self.params.tasks[name].max_length
                yield f"augment@{name}", rows, forward(rows * MASKED_SHARE * length, self._teacher, length)

    def _teachers(self) -> Stages:
        for name in self.params.tasks:
            if name not in self.params.models.teachers:
                yield f"finetune_teacher@{name}", *self._finetuning(name)
        for name, task in self.params.tasks.items():
            if name not in self._tables:
                examples = sum(self._rows[name].values()) - self._rows[name]["train"] + self._learnt(name, None)
                yield f"predict_teacher@{name}", examples, forward(examples, self._teacher, task.max_length)

    def _finetuning(self, task: str) -> tuple[float, Work]:
        examples = self._rows[task]["train"] * self.params.teacher_of(task).epochs
        return examples, training(examples, self._teacher, self.params.tasks[task].max_length)

    def _general(self) -> Stages:
        for name, shape in self._students.items():
            if self.params.reads_corpus(name):
                general = self.params.general_of(name)
                length = general.max_length
                examples = (general.sequences or self._corpus_sequences(length)) * general.epochs
                work = forward(examples, self._teacher, length) + training(examples, shape, length)
                yield f"general_distill@{name}", examples, work

    def _stages(self) -> Stages:
        for task, student in self._pairs():
            if task not in self._tables:
                yield f"distill_intermediate@{task}-{student}", *self._stage_1(task, student)
        for task, student in self._pairs():
            yield f"distill_prediction@{task}-{student}", *self._stage_2(task, student)

    def _stage_1(self, task: str, student: str) -> tuple[float, Work]:
        settings, length = self.params.intermediate_of(task, student), self.params.tasks[task].max_length
        examples = self._learnt(task, settings.variants) * settings.epochs
        work = forward(examples, self._teacher, length) + training(examples, self._students[student], length)
        return examples, work

    def _stage_2(self, task: str, student: str) -> tuple[float, Work]:
        settings, length = self.params.prediction_of(task, student), self.params.tasks[task].max_length
        examples = self._learnt(task, settings.variants) * settings.epochs
        return examples, training(examples, self._students[student], length)

    def _evaluate(self) -> Stages:
        for task, student in self._pairs():
            rows = sum(self._rows[task].values())
            work = forward(rows, self._students[student], self.params.tasks[task].max_length)
            yield f"evaluate@{task}-{student}", rows, work

    def _once_more(self) -> Stages:
        """With other seeds: both stages in one, of which the second counts; each teacher."""
        for task, student in self._pairs():
            examples, work = self._stage_2(task, student)
            if task not in self._tables:
                work += self._stage_1(task, student)[1]
            for seed in self.params.seeds:
                yield f"repeat@{task}-{student}-{seed}", examples, work
        for task in self.params.tasks:
            for seed in self.params.floor.seeds:
                yield f"reseed_teacher@{task}-{seed}", *self._finetuning(task)

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return product(self.params.tasks, self.params.students)

    def _learnt(self, name: str, variants: int | None) -> float:
        """Rows that students of a task learn from in an epoch: so many variants of each sentence (None: all)."""
        settings, task = self.params.augment[name], self.params.tasks[name]
        made = settings.variants * (2 if _is_pair(name, task) else 1) if settings else 0
        learnt = made if variants is None else min(made, variants)
        return self._rows[name]["train"] * (1 + learnt) + self._transfer[name]

    def _base_shape(self) -> Shape:
        """The shape of the model that teachers start from: as fetched, else as known for its source."""
        base = base_of(self.params)
        if not base:
            base = KNOWN[ASSUMED_BASE]
            self.assumed.append(f"{self.params.models.base} is of the size of BERT-base")
        return Shape(base.layers, base.hidden_size, base.intermediate_size, base.attention_heads)

    def _rows_of(self, name: str, task: Task) -> dict[str, int]:
        """Rows of each split: as fetched, as params.yaml or GLUE says, or as a file on this machine has lines."""
        manifest = Path("data/raw") / name / "manifest.json"
        if manifest.exists():
            return {split: about["rows"] for split, about in json.loads(manifest.read_text())["splits"].items()}
        match task.data:
            case GlueData(task=glue, train_rows=train_rows):
                official = TASKS[glue].official_rows
                return official | {"train": train_rows or official["train"]}
            case SnippetsData(train=int(train), dev=dev):
                return {"train": train, "dev": dev}
            case TableData(train=train, dev=dev):
                source = self.params.sources[task.data.source]
                if isinstance(source, PathSource):
                    root = Path(source.path)
                    rows = rows_at_most(root / train if source.files else root)
                    if isinstance(dev, HeldOut):
                        return {"train": round(rows * (1 - dev.share)), "dev": round(rows * dev.share)}
                    return {"train": rows, "dev": rows_at_most(root / dev if source.files else root)}
        self.assumed.append(f"{name} has {ASSUMED_ROWS:,} rows")
        return {"train": ASSUMED_ROWS, "dev": 0}

    def _transfer_rows(self, name: str, task: Task) -> int:
        """Rows of transfer text: as fetched, or as its files on this machine have lines."""
        if task.transfer is None:
            return 0
        fetched = Path("data/transfer") / name / TRANSFER
        if fetched.exists():
            return rows_at_most(fetched)
        source = self.params.sources[task.transfer.source]
        if isinstance(source, PathSource):
            root = Path(source.path)
            files = [root / file for file in task.transfer.file] if source.files else [root]
            return sum(map(rows_at_most, files))
        self.assumed.append(f"{name} has {ASSUMED_ROWS:,} rows of transfer text")
        return ASSUMED_ROWS

    def _corpus_sequences(self, length: int) -> int:
        """Sequences of a corpus that is used whole: from the size of what was fetched, else English Wikipedia's."""
        corpus, folder = self.params.corpus, Path("data/corpus")
        assert corpus  # the students that read it were asked for
        words: float
        if folder.exists():
            words = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 6
        elif "wikipedia" in corpus.source:
            words = WIKIPEDIA_WORDS
        else:
            words = ASSUMED_WORDS
            self.assumed.append(f"{corpus.source} has {ASSUMED_WORDS:,} words")
        return int(words * PIECES_PER_WORD / length)


def _shape(student: Student) -> Shape:
    return Shape(student.layers, student.hidden_size, student.intermediate_size, student.attention_heads)


def _is_pair(name: str, task: Task) -> bool:
    match task.data:
        case GlueData(task=glue):
            return len(TASKS[glue].columns) == 2
        case SnippetsData():
            return False
    return task.data.text_pair is not None


def figures(value: float) -> str:
    """Three significant digits, without an exponent."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:,.{max(0, decimals)}f}"


def command(
    price: Annotated[float, typer.Option(help="USD for one hour of one V100 and its machine.")] = PRICE,
) -> None:
    """What each stage of params.yaml takes here and on V100s, and what these would cost: an upper bound."""
    made = Plan(load())
    width = max(len(cost.stage) for cost in made.costs)
    total = Cost("total", 0, sum((cost.work for cost in made.costs), Work()))
    minutes = [cost.minutes(measured_rate) for cost in [*made.costs, total]]
    print(f"{'stage':<{width}}  {'examples':>12}  {'minutes here':>12}  {'V100 hours':>10}  {'USD':>8}")
    for cost, each in zip([*made.costs, total], minutes, strict=True):
        examples = f"{cost.examples:,}" if cost is not total else ""
        here, hours, dollars = map(figures, (each, cost.hours, cost.hours * price))
        print(f"{cost.stage:<{width}}  {examples:>12}  {here:>12}  {hours:>10}  {dollars:>8}")
    print(
        f"profile {made.params.profile}: an upper bound, texts of full length, fp32, one stage at a time; here at what "
        f"training steps of such layers reach, measured just now; V100s at {price:.2f} USD an hour"
    )
    for assumption in dict.fromkeys(made.assumed):
        print(f"not known before it is fetched, so assumed: {assumption}")
