"""The trials of a search, in an Optuna study that outlives its process.

A trial's settings are drawn by TPE, seeded by the study's seed and the trial's number, from the trials finished before
it: a search that was interrupted and goes on draws what it would have drawn. Trial 0 is the pair as params.yaml has it,
the untuned student that the accuracy guard compares with.
"""

import hashlib
import math
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from confidistill.confidence.verdict import SIGMA, holds, objection
from confidistill.errors import UserError
from confidistill.files import json_text
from confidistill.report.tuned import GUARD
from confidistill.text.splits import HELD_OUT
from flows.search.job import FOLDER, Job
from flows.search.space import FIRST, Settings, suggest
from flows.search.trial import Measures, Outcome, Trial
from tasks.pairs import parse_measures

STARTUP_TRIALS = 5  # drawn at random, before TPE has something to go by
WARMUP_EPOCHS = 3  # before a trial can be pruned
MARGIN = 0.9  # of kappa: a trial that holds by it ends the search
CANDIDATES = 3  # trials that are confirmed, at most: with each further one luck counts for more


class Study:
    """The study of a job: what has been tried, what comes next, what is best."""

    def __init__(self, job: Job, storage: str | None, seeds: Sequence[int] = ()) -> None:
        """Open it, or begin it.

        Args:
            storage: the URL of a database; None: a file of this clone.
            seeds: fresh ones, which confirm what the search finds.

        Raises:
            UserError: it is of something else, or the database gives no study.
        """
        self.job = job
        self.seeds = list(seeds)
        self._own = storage is None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with _reached(storage):
            self._study = optuna.create_study(
                study_name=job.study,
                storage=storage or _file(job.study),
                directions=["minimize"] * (1 + job.held_out),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS),
                load_if_exists=True,
            )
        known = self._study.user_attrs
        if known.get("fingerprint", job.fingerprint) != job.fingerprint:
            raise UserError(
                f"the study {job.study!r} is of {known['pair']}, preset {known['preset']}, seed {known['seed']}, with "
                "other settings, data or code than there are now: give this search another name with --study"
            )
        about = {name: getattr(job, name) for name in ("pair", "preset", "seed", "fingerprint")}
        for name, value in about.items():
            if name not in known:
                self._study.set_user_attr(name, value)

    def unfinished(self) -> list[Trial]:
        """Trials that a process which is gone has left: they are run to their end first."""
        running = self._study.get_trials(states=[TrialState.RUNNING])
        return [self._begin(optuna.Trial(self._study, trial._trial_id)) for trial in running if self._is_ours(trial)]

    def next(self) -> Trial:
        """A new trial; the first after the untuned student are its preset's own guesses, where it has some."""
        guesses = FIRST.get(self.job.preset, ())
        if 1 <= (number := self.count) <= len(guesses):
            self._study.enqueue_trial(dict(guesses[number - 1]))
        return self._begin(self._study.ask())

    def _begin(self, trial: optuna.Trial) -> Trial:
        trial.set_user_attr("owner", _here())
        seed = int(hashlib.sha256(f"{self.job.seed} {trial.number}".encode()).hexdigest()[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        settings = suggest(trial, self.job.space) if trial.number else {}
        return Trial(self.job, str(trial.number), settings)

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Whether this clone runs it; in a study of our own file there is nobody else."""
        return self._own or trial.user_attrs.get("owner") == _here()

    def stops(self, number: int, sigmas: list[float]) -> bool:
        """Report sigma(Tr) after each epoch; whether the trial does worse than half of those before it."""
        if number == 0 or self.job.held_out:  # Optuna prunes by one objective only
            return False
        frozen = self._study.get_trials(deepcopy=False)[number]
        trial = optuna.Trial(self._study, frozen._trial_id)
        for epoch, sigma in enumerate(sigmas, start=1):
            if epoch not in frozen.intermediate_values:
                trial.report(sigma, epoch)
        return trial.should_prune()

    def tell(self, number: int, outcome: Outcome) -> None:
        """Keep what became of a trial."""
        trial = optuna.Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)
        trial.set_user_attr("seconds", round(outcome.seconds, 1))
        if outcome.reason:
            trial.set_user_attr("reason", outcome.reason)
        if outcome.measures is None:
            state = TrialState.PRUNED if outcome.state == "pruned" else TrialState.FAIL
            self._study.tell(trial, state=state)
            return
        trial.set_user_attr("measures", json_text(outcome.measures))
        if number:
            trial.set_constraint("accuracy guard", self.loss(outcome.measures) - self.allowance)
        splits = ["train", HELD_OUT] if self.job.held_out else ["train"]
        sigmas = [outcome.measures[split][SIGMA[self.job.protocol]] for split in splits]
        if any(map(math.isnan, sigmas)):
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, sigmas)

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that are complete, pruned or failed, by number."""
        return [trial for trial in self._study.get_trials() if trial.state.is_finished()]

    @property
    def count(self) -> int:
        """All trials, those under way among them."""
        return len(self._study.get_trials(deepcopy=False))

    @property
    def untuned(self) -> Measures | None:
        """The measures of trial 0; None: it isn't finished."""
        trials = self._study.get_trials(deepcopy=False)
        return measures_of(trials[0]) if trials else None

    @property
    def guard_split(self) -> str:
        """The split that guards: the held-out share of Tr where there is one, else Tr itself; never dev."""
        assert self.untuned
        return HELD_OUT if HELD_OUT in self.untuned else "train"

    def loss(self, measures: Measures) -> float:
        """Share of accuracy lost against the untuned student, on the split that guards."""
        assert self.untuned
        split = self.guard_split
        return float(self.untuned[split]["accuracy_student"] - measures[split]["accuracy_student"])

    @property
    def allowance(self) -> float:
        """Share of accuracy that a trial may lose: a point, and what one run of so few rows cannot tell from none.

        The latter is one standard error at most, 1 / (2 sqrt(n)). A trial is one seed against one seed, so this only
        decides what is worth confirming; the confirmation over fresh seeds allows a point.
        """
        return GUARD + 0.5 / math.sqrt(self.guard_rows)

    @property
    def guard_rows(self) -> int:
        """How many rows the split that guards has."""
        assert self.untuned
        return int(self.untuned[self.guard_split]["examples"])

    def keeps_guard(self, measures: Measures) -> bool:
        """Whether less than the allowance is lost, on the split that guards."""
        return self.loss(measures) < self.allowance

    def loss_over(self, trial: FrozenTrial) -> float:
        """Mean share of accuracy that a trial loses at the fresh seeds against the untuned student at the same."""
        before, after = self.means(trial, "accuracy_student")
        return before - after

    def means(self, trial: FrozenTrial, measure: str) -> tuple[float, float]:
        """A measure's mean over the fresh seeds on the split that guards: the untuned student's, and the trial's."""
        split = self.guard_split
        untuned = self._study.get_trials(deepcopy=False)[0]
        pairs = [(self.confirmation(untuned, seed), self.confirmation(trial, seed)) for seed in self.seeds]
        both = [(before[split][measure], after[split][measure]) for before, after in pairs if before and after]
        before, after = zip(*both, strict=True)
        return mean(before), mean(after)

    @property
    def winner(self) -> FrozenTrial | None:
        """Of the trials that keep the guard and hold by a margin, the one of the least sigma on the held-out share of
        Tr; where no share is held out, the most accurate. Where none holds, the one of the least sigma(Tr).

        One that fresh seeds have refuted comes after those that hold, one whose sigma says nothing last.
        """
        found = {trial.number: (trial, measures) for trial in self.finished if (measures := measures_of(trial))}
        kept = [(self._rank(*pair), pair[0]) for pair in found.values() if self.keeps_guard(pair[1])]
        return min(kept, key=lambda ranked: ranked[0])[1] if kept else None

    def _rank(self, trial: FrozenTrial, measures: Measures) -> tuple[bool, bool, bool, float, float, int]:
        stands = self.holds(trial) and not self.is_refuted(trial)
        held = self.holds(trial, MARGIN)
        sigma = trial.values[0]
        best = measures[HELD_OUT][SIGMA[self.job.protocol]] if HELD_OUT in measures else self.loss(measures)
        best = math.inf if math.isnan(best) else best
        nothing = self._objection(measures) is not None
        return nothing, not stands, not held, best if held else sigma, sigma, trial.number

    def holds(self, trial: FrozenTrial, margin: float = 1.0) -> bool:
        """Whether sigma(Tr) <= margin * kappa, of a student that has learnt its task."""
        measures = measures_of(trial)
        meaningful = measures is not None and self._objection(measures) is None
        return meaningful and trial.values[0] <= margin * self.job.kappa

    @property
    def is_won(self) -> bool:
        """Whether a trial holds by a margin and loses less than a point of accuracy, at the one seed there is, and no
        fresh seed has refuted it.

        Held-out sigma may always become less.
        """
        if self.job.held_out:
            return False
        return any(
            self.holds(trial, MARGIN) and self.loss(measures) < GUARD and not self.is_refuted(trial)
            for trial in self.finished
            if (measures := measures_of(trial))
        )

    @property
    def to_confirm(self) -> FrozenTrial | None:
        """The winner, if it holds and fresh seeds have still to say whether it does there."""
        winner = self.winner
        waits = winner is not None and self.holds(winner) and not self.is_confirmed(winner)
        return winner if waits and self.candidates_left else None

    @property
    def candidates_left(self) -> int:
        """How many more trials may be confirmed."""
        return CANDIDATES - len(self.refuted)

    @property
    def refuted(self) -> list[FrozenTrial]:
        """The trials that held at the search's seed, and not at fresh ones; by number."""
        return [trial for trial in self.finished if self.is_refuted(trial)]

    def is_refuted(self, trial: FrozenTrial) -> bool:
        """Whether it holds, but at the fresh seeds fails at one or loses more than the allowance in their mean."""
        if not (self.seeds and self.is_confirmed(trial) and self.holds(trial)):
            return False
        return bool(self.failures(trial)) or self.loss_over(trial) >= self.allowance

    def failures(self, trial: FrozenTrial) -> dict[int, float]:
        """The fresh seeds at which it fails, and sigma(Tr) there."""
        confirmed = {seed: measures["train"] for seed in self.seeds if (measures := self.confirmation(trial, seed))}
        return {
            seed: float(measured[SIGMA[self.job.protocol]])
            for seed, measured in confirmed.items()
            if not holds(measured, self.job.protocol, self.job.kappa)
        }

    def is_confirmed(self, trial: FrozenTrial) -> bool:
        """Whether it and the untuned student have been run at all fresh seeds."""
        untuned = self._study.get_trials(deepcopy=False)[0]
        return all(self.confirmation(each, seed) is not None for each in (trial, untuned) for seed in self.seeds)

    def _objection(self, measures: Measures) -> str | None:
        return objection(measures["train"], self.job.protocol)

    def settings_of(self, trial: FrozenTrial) -> Settings:
        """The settings that a trial was run with."""
        return suggest(optuna.trial.FixedTrial(trial.params), self.job.space) if trial.number else {}

    def confirmation(self, trial: FrozenTrial, seed: int) -> Measures | None:
        """The measures of a trial's settings at another seed; None: not run yet."""
        text = self._study.user_attrs.get(_confirmed(trial, seed))
        return _splits(text) if text else None

    def confirm(self, trial: FrozenTrial, seed: int, measures: Measures) -> None:
        """Keep the measures of a trial's settings at another seed."""
        self._study.set_user_attr(_confirmed(trial, seed), json_text(measures))


def measures_of(trial: FrozenTrial) -> Measures | None:
    """The measures of a complete trial."""
    text = trial.user_attrs.get("measures")
    return _splits(text) if text and trial.state == TrialState.COMPLETE else None


def _splits(text: str) -> Measures:
    measures: Measures = parse_measures(text)
    return measures


def _confirmed(trial: FrozenTrial, seed: int) -> str:
    return f"trial {trial.number}, seed {seed}"


def _here() -> str:
    return f"{socket.gethostname()}:{Path.cwd()}"


def _file(study: str) -> optuna.storages.JournalStorage:
    FOLDER.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(str(FOLDER / f"{study}.log")))


@contextmanager
def _reached(storage: str | None) -> Iterator[None]:
    """A database that gives no study is a user's mistake; its URL, which may hold a password, isn't told."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        yield
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(f"--storage: no URL of a database for SQLAlchemy ({type(error).__name__})") from None
    except ImportError as error:
        package = f": pip install {error.__cause__.name}" if isinstance(error.__cause__, ModuleNotFoundError) else ""
        raise UserError(f"--storage: the database's driver is not installed{package}") from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(f"--storage: the database does not answer ({type(error).__name__})") from None
