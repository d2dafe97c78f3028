"""What a search tries: the spans of each preset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confidistill.errors import UserError

if TYPE_CHECKING:
    from optuna.trial import FixedTrial, Trial

Settings = Mapping[str, Any]
"""A trial's settings by key, `<section>.<key>`, such as `prediction.epochs`."""


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def suggest(self, trial: "Trial | FixedTrial", key: str) -> Any:
        return trial.suggest_categorical(key, self.values)


@dataclass(frozen=True)
class Whole:
    """A whole number of low ... high."""

    low: int
    high: int

    def suggest(self, trial: "Trial | FixedTrial", key: str) -> int:
        return trial.suggest_int(key, self.low, self.high)


@dataclass(frozen=True)
class Logarithmic:
    """A number of low ... high, each order of magnitude as likely as another; three digits of it count."""

    low: float
    high: float

    def suggest(self, trial: "Trial | FixedTrial", key: str) -> float:
        return float(f"{trial.suggest_float(key, self.low, self.high, log=True):.2e}")


Space = Mapping[str, Choice | Whole | Logarithmic]

# Stage 2 alone, so that stage 1 is never run again. By `+`: the sum of two terms of the loss.
PATIENCE: Space = {
    "prediction.epochs": Whole(4, 12),
    "prediction.learning_rate": Logarithmic(2e-5, 1e-3),
    "prediction.dropout": Choice((None, 0.0)),
    "prediction.loss": Choice(("soft_ce", "kl+sigma", "logit_mse")),
    "prediction.schedule": Choice(("linear", "constant")),
    "prediction.average": Choice((1, 4)),
    "prediction.keep": Choice(("sigma",)),  # of the epochs, the one of least sigma(Tr) within its own guard
}
FULL: Space = {
    "intermediate.epochs": Whole(1, 6),
    "intermediate.learning_rate": Logarithmic(5e-5, 2e-3),
    **PATIENCE,
}
# Vengertsev & Sherman, RQ2. Of learning rates and weight decays the paper gives the range and (of rates) the number;
# those it names are in, the others are spread between.
PAPER: Space = {
    "intermediate.epochs": Choice((3, 6, 9)),
    "intermediate.learning_rate": Choice((5e-7, 5e-6, 5e-5, 1e-4, 5e-4, 5e-3)),
    "intermediate.batch_size": Choice((28, 32, 36)),
    "intermediate.weight_decay": Choice((1e-5, 1e-4, 1e-2)),
    "prediction.epochs": Choice((2, 3, 4, 5, 6)),
    "prediction.learning_rate": Choice((5e-7, 5e-6, 1e-5, 3e-5, 1e-4, 3e-4, 8e-4)),
    "prediction.batch_size": Choice((28, 32, 34, 36, 38, 40)),
    "prediction.weight_decay": Choice((1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)),
}
PRESETS: Mapping[str, Space] = {"patience": PATIENCE, "paper": PAPER, "full": FULL}

# What is tried before anything is drawn: patience, none of the noise that dropout puts between student and teacher, and
# averaged weights, whose accuracy is steadier than one epoch's. Small steps first, which suit layers that are the
# teacher's, and are nearer on new text; then larger ones, for a student that they do not bring there.
_RATES = (5e-5, 2e-4)
_PATIENT: Settings = {
    "prediction.epochs": 12,
    "prediction.dropout": 0.0,
    "prediction.loss": "soft_ce",
    "prediction.schedule": "constant",
    "prediction.average": 4,
    "prediction.keep": "sigma",
}
_STAGE_1: Settings = {"intermediate.epochs": 3, "intermediate.learning_rate": 3e-4}
FIRST: Mapping[str, Sequence[Settings]] = {
    preset: [{**stage_1, **_PATIENT, "prediction.learning_rate": rate} for rate in _RATES]
    for preset, stage_1 in {"patience": {}, "full": _STAGE_1}.items()
}


def space_of(preset: str) -> Space:
    """The spans of a preset; an unknown one is a UserError."""
    if preset not in PRESETS:
        raise UserError(f"unknown preset {preset!r}: there are {', '.join(PRESETS)}")
    return PRESETS[preset]


def suggest(trial: "Trial | FixedTrial", space: Space) -> Settings:
    """A trial's settings: those it has been given, else new ones."""
    return {key: span.suggest(trial, key) for key, span in space.items()}


def overrides(settings: Settings) -> dict[str, dict[str, Any]]:
    """Settings as `pairs.<task>-<student>` of params.yaml holds them: `{section: {key: value}}`."""
    nested: dict[str, dict[str, Any]] = {"intermediate": {}, "prediction": {}}
    for path, value in settings.items():
        section, _, key = path.partition(".")
        nested[section][key] = value if key != "loss" else [{"name": n, "weight": 1.0} for n in value.split("+")]
    return nested


def shown(settings: Settings) -> str:
    """Settings in one line; a key of stage 2 goes without its section."""
    if not settings:
        return "as params.yaml has it"
    named = {key.removeprefix("prediction."): value for key, value in settings.items()}
    return ", ".join(f"{key} {'null' if value is None else value}" for key, value in named.items())
