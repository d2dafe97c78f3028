"""params.yaml, read once at the edge: frozen, complete, and strict about every key and type."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from confidistill.errors import UserError
from confidistill.sources.pins import Source
from confidistill.teachers.given import PredictionsTeacher
from confidistill.text.dataset import HeldOut
from tasks.names import check_names
from tasks.round_trip import not_yaml
from tasks.sections import (
    AugmentSettings,
    Corpus,
    Floor,
    GeneralSettings,
    IntermediateSettings,
    Models,
    Overrides,
    Pair,
    Positive,
    PredictionSettings,
    Property,
    Section,
    Seed,
    Student,
    Task,
    TrainingSettings,
    Vectors,
)

PARAMS_FILE = Path("params.yaml")
S = TypeVar("S", bound=Section)


def _held_out(value: Any) -> Any:
    if value is None:
        raise ValueError("must be dev, or {share, seed}")
    return None if value == "dev" else value


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
    seeds: list[Seed]
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
        for key, source in self._named_sources():
            if source not in self.sources:
                raise UserError(f"{key}: no source is called {source!r}: add it to `sources`")
        pairs = [f"{task}-{student}" for task in self.tasks for student in self.students]
        _complete("pairs", self.pairs, pairs, "{intermediate: {}, prediction: {}}")
        _complete("augment", self.augment, list(self.tasks), "null")
        once: dict[str, list[Any]] = {"seeds": self.seeds, "floor.seeds": self.floor.seeds, "export": self.export}
        for key, listed in once.items():
            if len(set(listed)) < len(listed):
                raise UserError(f"{key}: one is named twice")
        for name in self.models.teachers:
            self._check_teacher(name)
        for name in self.tasks:
            self._check_task(name)
        for name in self.students:
            self._check_student(name)
        if any(self.augment.values()) and not self.vectors:
            raise UserError("vectors: name a source: the tasks listed in `augment` need word vectors")
        return self

    def _named_sources(self) -> Iterator[tuple[str, str]]:
        """Each key that names a source, and the name."""
        yield "models.base", self.models.base
        if self.vectors:
            yield "vectors.source", self.vectors.source
        if self.corpus:
            yield "corpus.source", self.corpus.source
        if self.models.mlm:
            yield "models.mlm", self.models.mlm
        for name, task in self.tasks.items():
            yield f"tasks.{name}.data.source", task.data.source
            if task.transfer:
                yield f"tasks.{name}.transfer.source", task.transfer.source
        for name, student in self.students.items():
            if student.checkpoint:
                yield f"students.{name}.checkpoint", student.checkpoint
        for name, teacher in self.models.teachers.items():
            yield f"models.teachers.{name}.source", teacher.source

    def _check_student(self, name: str) -> None:
        """Raise a UserError if there cannot be such a student."""
        student = self.students[name]
        if (student.initialisation == "checkpoint") != (student.checkpoint is not None):
            raise UserError(f"students.{name}.checkpoint: name a source if and only if initialisation is 'checkpoint'")
        if student.hidden_size % student.attention_heads:
            raise UserError(
                f"students.{name}.hidden_size: {student.hidden_size} is not a multiple of "
                f"attention_heads, {student.attention_heads}"
            )
        if self.reads_corpus(name) and not self.corpus:
            raise UserError(f"corpus: name a source: {name} learns from it; or set general.sequences to 0")

    def _check_task(self, name: str) -> None:
        """Raise a UserError if the settings of the task's trainings, put together, are none."""
        self.teacher_of(name)
        for student in self.students:
            self.intermediate_of(name, student)
            if self.prediction_of(name, student).alpha and self.tasks[name].transfer:
                raise UserError(
                    f"tasks.{name}.transfer: text without labels, and alpha of {name}-{student} asks for "
                    "them: set alpha to 0"
                )

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


def _complete(section: str, given: Mapping[str, Any], wanted: list[str], nothing: str) -> None:
    """Raise a UserError unless a section names each that it must, and no other."""
    for name in wanted:
        if name not in given:
            raise UserError(f"{section}: {name!r} is missing: add `{name}: {nothing}`, or what is meant for it")
        if wanted.count(name) > 1:
            raise UserError(f"two pairs are called {name!r}: rename a task or a student")
    for name in given:
        if name not in wanted:
            raise UserError(f"{section}.{name}: there is none: known are {', '.join(wanted)}")


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
