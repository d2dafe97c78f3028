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

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from confidistill.confidence.verdict import SIGMA
from confidistill.errors import UserError
from confidistill.files import json_text
from confidistill.text.splits import HELD_OUT
from flows.search.findings import Findings
from flows.search.job import FOLDER, Job
from flows.search.space import FIRST, suggest
from flows.search.trial import Measures, Outcome, Trial
from tasks.pairs import parse_measures

STARTUP_TRIALS = 5  # drawn at random, before TPE has something to go by
WARMUP_EPOCHS = 3  # before a trial can be pruned


class Study:
    """The study of a job: what has been tried, and what comes next."""

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
            found = self.findings
            trial.set_constraint("accuracy guard", found.loss(outcome.measures) - found.allowance)
        splits = ["train", HELD_OUT] if self.job.held_out else ["train"]
        sigmas = [outcome.measures[split][SIGMA[self.job.protocol]] for split in splits]
        if any(map(math.isnan, sigmas)):
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, sigmas)

    @property
    def count(self) -> int:
        """All trials, those under way among them."""
        return len(self._study.get_trials(deepcopy=False))

    @property
    def findings(self) -> Findings:
        """What has been found so far."""
        finished = [trial for trial in self._study.get_trials() if trial.state.is_finished()]
        kept = self._study.user_attrs
        confirmed = {
            (trial.number, seed): parse_measures(text)
            for trial in finished
            for seed in self.seeds
            if (text := kept.get(_confirmed(trial, seed)))
        }
        return Findings(self.job, finished, self.seeds, confirmed)

    def confirm(self, trial: FrozenTrial, seed: int, measures: Measures) -> None:
        """Keep the measures of a trial's settings at another seed."""
        self._study.set_user_attr(_confirmed(trial, seed), json_text(measures))


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
