"""The sections of params.yaml: what each may hold, key by key."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from confidistill.teachers.given import Given
from confidistill.text.dataset import TaskData
from confidistill.text.transfer import Transfer

Overrides = dict[str, Any]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, missing keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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
    """A stage that matches attention scores and hidden states: intermediate and general distillation.

    `feature_cache_gib`: the most that the teacher's features may take on disk, so that it is run once; 0: never.
    """

    padding: Literal["ignore", "reference"]
    feature_cache_gib: Annotated[float, Field(ge=0)]
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

    seeds: list[Seed]


class Property(Section):
    """The confidence preservation property: which protocol judges, against which kappa."""

    protocol: Literal["definition", "released"]
    kappa: Annotated[float, Field(gt=0, lt=1)]
    resamples: Positive
    seed: Seed
