"""params.yaml, read once at the edge: frozen, complete, and strict about every key and type."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from confidistill.errors import UserError
from confidistill.sources.pins import Source
from confidistill.teachers.given import Given, PredictionsTeacher
from confidistill.text.dataset import HeldOut, TaskData
from confidistill.text.transfer import Transfer
from tasks.names import check_names
from tasks.round_trip import not_yaml

PARAMS_FILE = Path("params.yaml")
Overrides = dict[str, Any]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, missing keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


class TrainingSettings(Section):
    """How one model is trained; the fields are those of `confidistill.distillation.training.Training`."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_ratio: Share
    schedule: Literal["linear", "constant", "cosine"]
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    micro_batch_size: Literal["auto"] | Positive
    deterministic: bool
    seed: Seed
    checkpoint_steps: Positive


class LossTerm(Section):
    """One term of a loss; `confidistill.distillation.terms` has the formulas behind the names."""

    name: str
    weight: Annotated[float, Field(gt=0, lt=float("inf"))] = 1.0


class FeatureTerm(LossTerm):
    """A term of general distillation and of stage 1."""

    name: Literal["attention", "hidden", "embedding"]


class PredictionTerm(LossTerm):
    """A term of stage 2."""

    name: Literal["soft_ce", "kl", "js", "sigma", "logit_mse"]


T = TypeVar("T", bound=LossTerm)


def _once(terms: list[T]) -> list[T]:
    names = [term.name for term in terms]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is named twice: give it one weight")
    return terms


def _as_list(loss: Any) -> Any:
    """`loss: soft_ce` is short for `loss: [{name: soft_ce, weight: 1.0}]`."""
    return [{"name": loss}] if isinstance(loss, str) else loss


class FeatureSettings(TrainingSettings):
    """A stage that matches attention scores and hidden states: intermediate and general distillation."""

    padding: Literal["ignore", "reference"]
    loss: Annotated[list[FeatureTerm], Field(min_length=1), BeforeValidator(_as_list), AfterValidator(_once)]


class IntermediateSettings(FeatureSettings):
    """Stage 1; `variants`: of a sentence, in an epoch, others each time (null: all)."""

    variants: Positive | None


class GeneralSettings(FeatureSettings):
    """General distillation: the corpus is packed into `sequences` sequences of `max_length` tokens (null: all).

    0 is none: the student stays as it was initialised.
    """

    max_length: Positive
    sequences: Annotated[int, Field(ge=0)] | None


class StopSettings(Section):
    """When stage 2 ends early: once sigma(Tr) is so small, or for so many epochs has not become less."""

    sigma: Annotated[float, Field(gt=0, lt=1)] | None
    patience: Positive | None

    @model_validator(mode="after")
    def _says_when(self) -> "StopSettings":
        if self.sigma is None and self.patience is None:
            raise ValueError("give sigma, patience or both; or null, never to end early")
        return self


class PredictionSettings(TrainingSettings):
    """Prediction-layer distillation: which loss, how much of the hard labels (Eq. 1), which temperature."""

    loss: Annotated[list[PredictionTerm], Field(min_length=1), BeforeValidator(_as_list), AfterValidator(_once)]
    alpha: Share
    temperature: Annotated[float, Field(gt=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)] | None
    keep: Literal["metric", "sigma"]
    average: Annotated[int, Field(ge=1)]
    variants: Positive | None
    stop: StopSettings | None


class AugmentSettings(Section):
    """TinyBERT's augmentation of one task: N variants, M candidates, replacement probability p."""

    variants: Positive
    candidates: Positive
    probability: Share
    seed: Seed


class Models(Section):
    """Names of sources: the model the teacher starts from, and the masked LM (null: vectors for every word).

    `teachers` may give a task's teacher, which is then not fine-tuned; the others' start from `base`.
    """

    base: str
    mlm: str | None
    teachers: dict[str, Given] = {}


class Vectors(Section):
    """Word vectors: a source, the file inside it (null: the only one), how many of its words are searched."""

    source: str
    member: str | None
    limit: Positive


class Corpus(Section):
    """The text of general distillation: a source and the files to take from it (null: all)."""

    source: str
    files: list[str] | None


def _held_out(value: Any) -> Any:
    if value is None:
        raise ValueError("must be dev, or {share, seed}")
    return None if value == "dev" else value


class Task(Section):
    """One classification task. `metric` picks the best epoch; `also_report` adds measures to it.

    `teacher`, `intermediate` and `prediction` hold what differs, for this task, from the sections of that name.
    """

    data: TaskData
    max_length: Positive
    metric: Literal["accuracy", "mcc"]
    also_report: list[Literal["mcc", "f1"]]
    transfer: Transfer | None
    teacher: Overrides
    intermediate: Overrides
    prediction: Overrides


class Student(Section):
    """A student's shape and where it starts; `checkpoint` names a source and is null unless it starts there."""

    layers: Positive
    hidden_size: Positive
    intermediate_size: Positive
    attention_heads: Positive
    initialisation: Literal["random", "teacher", "checkpoint"]
    checkpoint: str | None
    layer_map: Literal["uniform"] | dict[Literal["attention", "hidden"], list[int]]
    general: Overrides
    intermediate: Overrides
    prediction: Overrides


class Pair(Section):
    """What differs for one task and one student, over what the task and the student say themselves."""

    intermediate: Overrides
    prediction: Overrides


class Floor(Section):
    """Seeds with which each teacher is fine-tuned once more, to be compared with itself; none: it is not."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]]


class Property(Section):
    """The confidence preservation property: which protocol judges, against which kappa."""

    protocol: Literal["definition", "released"]
    kappa: Annotated[float, Field(gt=0, lt=1)]
    resamples: Positive
    seed: Seed


class Params(Section):
    """The whole of params.yaml."""

    profile: str
    processes: Positive
    property: Property
    sources: dict[str, Source]
    models: Models
    vectors: Vectors | None
    corpus: Corpus | None
    tasks: Annotated[dict[str, Task], Field(min_length=1)]
    students: Annotated[dict[str, Student], Field(min_length=1)]
    pairs: dict[str, Pair]
    selection: Annotated[HeldOut | None, BeforeValidator(_held_out)]
    """What picks epochs, prunes and guards; None (`dev` in the file): the dev set, as TinyBERT does it."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]]
    floor: Floor
    export: list[Literal["onnx", "onnx-int8"]]
    """What each student is exported as, and judged again; none: it is not."""
    augment: dict[str, AugmentSettings | None]
    teacher: TrainingSettings
    general: GeneralSettings
    intermediate: IntermediateSettings
    prediction: PredictionSettings

    def task(self, name: str) -> Task:
        """The task of that name; an unknown one is a UserError."""
        return _named(self.tasks, name, "task")

    def student(self, name: str) -> Student:
        """The student of that name; an unknown one is a UserError."""
        return _named(self.students, name, "student")

    def teacher_of(self, task: str) -> TrainingSettings:
        """Settings of the teacher's fine-tuning on `task`."""
        return _merge(self.teacher, self.task(task).teacher)

    def general_of(self, student: str) -> GeneralSettings:
        """Settings of general distillation into `student`."""
        return _merge(self.general, self.student(student).general)

    def reads_corpus(self, student: str) -> bool:
        """Whether `student` is distilled on plain text before it sees a task."""
        return not self.student(student).checkpoint and self.general_of(student).sequences != 0

    def intermediate_of(self, task: str, student: str) -> IntermediateSettings:
        """Settings of stage 1: the section, what the task or the student changes, what the pair changes over both."""
        return _merge(self.intermediate, *self._overrides("intermediate", task, student))

    def prediction_of(self, task: str, student: str) -> PredictionSettings:
        """Settings of stage 2: the section, what the task or the student changes, what the pair changes over both."""
        return _merge(self.prediction, *self._overrides("prediction", task, student))

    def _overrides(self, section: str, task: str, student: str) -> list[Overrides]:
        owners = (self.task(task), self.student(student), self.pairs[f"{task}-{student}"])
        of_task, of_student, of_pair = (getattr(owner, section) for owner in owners)
        for key in of_task:
            if key in of_student and key not in of_pair:
                raise UserError(
                    f"{section}.{key} is in two places, tasks.{task} and students.{student}: "
                    f"remove one, or say which in pairs.{task}-{student}.{section}"
                )
        return [of_task, of_student, of_pair]

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        named = {"models.base": self.models.base}
        named |= {"vectors.source": self.vectors.source} if self.vectors else {}
        named |= {"corpus.source": self.corpus.source} if self.corpus else {}
        named |= {"models.mlm": self.models.mlm} if self.models.mlm else {}
        for name, task in self.tasks.items():
            named[f"tasks.{name}.data.source"] = task.data.source
            if task.transfer:
                named[f"tasks.{name}.transfer.source"] = task.transfer.source
        for name, student in self.students.items():
            if (student.initialisation == "checkpoint") != (student.checkpoint is not None):
                raise UserError(
                    f"students.{name}.checkpoint: name a source if and only if initialisation is 'checkpoint'"
                )
            if student.checkpoint:
                named[f"students.{name}.checkpoint"] = student.checkpoint
            if student.hidden_size % student.attention_heads:
                raise UserError(
                    f"students.{name}.hidden_size: {student.hidden_size} is not a multiple of "
                    f"attention_heads, {student.attention_heads}"
                )
        for name, teacher in self.models.teachers.items():
            named[f"models.teachers.{name}.source"] = teacher.source
            self._check_teacher(name)
        for key, source in named.items():
            if source not in self.sources:
                raise UserError(f"{key}: no source is called {source!r}: add it to `sources`")
        pairs = [f"{task}-{student}" for task in self.tasks for student in self.students]
        for key, wanted, given in (("pairs", pairs, self.pairs), ("augment", list(self.tasks), self.augment)):
            nothing = "{intermediate: {}, prediction: {}}" if key == "pairs" else "null"
            for name in wanted:
                if name not in given:
                    raise UserError(f"{key}: {name!r} is missing: add `{name}: {nothing}`, or what is meant for it")
                if wanted.count(name) > 1:
                    raise UserError(f"two pairs are called {name!r}: rename a task or a student")
            for name in given:
                if name not in wanted:
                    raise UserError(f"{key}.{name}: there is none: known are {', '.join(wanted)}")
        once: dict[str, list[Any]] = {"seeds": self.seeds, "floor.seeds": self.floor.seeds, "export": self.export}
        for key, listed in once.items():
            if len(set(listed)) < len(listed):
                raise UserError(f"{key}: one is named twice")
        for name in self.tasks:
            self.teacher_of(name)
            for student_name in self.students:
                self.intermediate_of(name, student_name)
                if self.prediction_of(name, student_name).alpha and self.tasks[name].transfer:
                    raise UserError(
                        f"tasks.{name}.transfer: text without labels, and alpha of {name}-{student_name} asks for "
                        "them: set alpha to 0"
                    )
        if any(self.augment.values()) and not self.vectors:
            raise UserError("vectors: name a source: the tasks listed in `augment` need word vectors")
        for student_name in self.students:
            if self.reads_corpus(student_name) and not self.corpus:
                raise UserError(f"corpus: name a source: {student_name} learns from it; or set general.sequences to 0")
        return self

    def _check_teacher(self, name: str) -> None:
        """Raise a UserError if the task's teacher, which is given, is asked for what it cannot do."""
        if name not in self.tasks:
            raise UserError(f"models.teachers.{name}: there is no such task: known are {', '.join(self.tasks)}")
        if self.tasks[name].teacher:
            raise UserError(f"tasks.{name}.teacher: models.teachers gives one, which is not fine-tuned: set it to {{}}")
        if self.floor.seeds:
            raise UserError(f"floor.seeds: the teacher of {name} is given and cannot be fine-tuned again: set it to []")
        if not isinstance(self.models.teachers[name], PredictionsTeacher):
            return
        if self.augment.get(name):
            raise UserError(f"augment.{name}: its teacher is a table, which has no varied texts: set it to null")
        for student in self.students:
            if any(term.name == "logit_mse" for term in self.prediction_of(name, student).loss):
                raise UserError(
                    f"prediction.loss of {name}-{student}: logit_mse needs a teacher's logits, and a table of "
                    "probabilities tells them up to a constant only: use soft_ce, kl, js or sigma"
                )


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a params file.

    Raises:
        UserError: it is missing, is not YAML, or has an unknown key, a missing key, a wrong type or a value
            out of range; the message names the file and the key.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: run in the project's root, after `confidistill use PROFILE`") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except MarkedYAMLError as error:
        raise UserError(f"{path}: {not_yaml(error)}") from None
    except ReaderError as error:
        raise UserError(f"{path}: not YAML: its character {error.position} is a control character: remove it") from None
    try:
        check_names(content)
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_error(error)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _named(items: dict[str, Any], name: str, what: str) -> Any:
    if name not in items:
        raise UserError(f"{PARAMS_FILE}: unknown {what} {name!r}: it lists {', '.join(items)}")
    return items[name]


def _merge(section: S, *overrides: Overrides) -> S:
    merged = section.model_dump()
    for override in overrides:
        merged |= override
    return type(section).model_validate(merged)


def _first_error(error: ValidationError) -> str:
    """The first thing wrong as `key: what`, with a count of the rest."""
    problem, *rest = error.errors()
    # The tag of a discriminated union is part of pydantic's location but no key of the file.
    key = ".".join(str(part) for part in problem["loc"] if part not in _UNION_TAGS) or "the file"
    what = {
        "extra_forbidden": "unknown key: remove it or correct its spelling",
        "missing": "missing key: add it",
    }.get(problem["type"], f"{problem['msg']}, not {problem['input']!r}")
    return f"{key}: {what}" + (f" (and {len(rest)} more)" if rest else "")


_UNION_TAGS = {"package", "path", "url", "hub", "snippets", "glue", "table", "model", "predictions"}
