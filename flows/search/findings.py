"""What the finished trials of a search say: accuracy guard, winner, and what fresh seeds confirm or refute."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from optuna.trial import FixedTrial, FrozenTrial, TrialState

from confidistill.confidence.verdict import SIGMA, holds, objection
from confidistill.report.tuned import GUARD
from confidistill.text.splits import HELD_OUT
from flows.search.job import Job
from flows.search.space import Settings, suggest
from flows.search.trial import Measures
from tasks.pairs import parse_measures

MARGIN = 0.9  # of kappa: a trial that holds by it ends the search
CANDIDATES = 3  # trials that are confirmed, at most: with each further one luck counts for more


@dataclass(frozen=True)
class Findings:
    """What a study has found so far."""

    job: Job
    trials: Sequence[FrozenTrial]
    """Complete, pruned or failed ones, by number."""
    seeds: Sequence[int]
    """Fresh ones, which the search has not used."""
    confirmed: Mapping[tuple[int, int], Measures]
    """By trial and fresh seed, the measures of the trial's settings there."""

    @property
    def untuned(self) -> Measures | None:
        """The measures of trial 0; None: it isn't finished."""
        return measures_of(self.trials[0]) if self.trials and self.trials[0].number == 0 else None

    def settings_of(self, trial: FrozenTrial) -> Settings:
        """The settings that a trial was run with."""
        return suggest(FixedTrial(trial.params), self.job.space) if trial.number else {}

    # The accuracy guard, against the untuned student.

    @property
    def guard_split(self) -> str:
        """The split that guards: the held-out share of Tr where there is one, else Tr itself; never dev."""
        assert self.untuned
        return HELD_OUT if HELD_OUT in self.untuned else "train"

    @property
    def guard_rows(self) -> int:
        """How many rows the split that guards has."""
        assert self.untuned
        return int(self.untuned[self.guard_split]["examples"])

    @property
    def allowance(self) -> float:
        """Share of accuracy that a trial may lose: a point, and what one run of so few rows cannot tell from none.

        The latter is one standard error at most, 1 / (2 sqrt(n)). A trial is one seed against one seed, so this only
        decides what is worth confirming; the confirmation over fresh seeds allows a point.
        """
        return GUARD + 0.5 / math.sqrt(self.guard_rows)

    def loss(self, measures: Measures) -> float:
        """Share of accuracy lost against the untuned student, on the split that guards."""
        assert self.untuned
        split = self.guard_split
        return float(self.untuned[split]["accuracy_student"] - measures[split]["accuracy_student"])

    def keeps_guard(self, measures: Measures) -> bool:
        """Whether less than the allowance is lost, on the split that guards."""
        return self.loss(measures) < self.allowance

    # The winner, at the search's own seed.

    @property
    def winner(self) -> FrozenTrial | None:
        """Of the trials that keep the guard and hold by a margin, the one of the least sigma on the held-out share of
        Tr; where no share is held out, the most accurate. Where none holds, the one of the least sigma(Tr).

        One that fresh seeds have refuted comes after those that hold, one whose sigma says nothing last.
        """
        kept = [
            (self._rank(trial, measures), trial)
            for trial in self.trials
            if (measures := measures_of(trial)) and self.keeps_guard(measures)
        ]
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
            for trial in self.trials
            if (measures := measures_of(trial))
        )

    def _objection(self, measures: Measures) -> str | None:
        return objection(measures["train"], self.job.protocol)

    # Its confirmation, at fresh seeds.

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
        return [trial for trial in self.trials if self.is_refuted(trial)]

    def is_refuted(self, trial: FrozenTrial) -> bool:
        """Whether it holds, but at the fresh seeds fails at one or loses more than the allowance in their mean."""
        if not (self.seeds and self.is_confirmed(trial) and self.holds(trial)):
            return False
        return bool(self.failures(trial)) or self.loss_over(trial) >= self.allowance

    def is_confirmed(self, trial: FrozenTrial) -> bool:
        """Whether it and the untuned student have been run at all fresh seeds."""
        return all((number, seed) in self.confirmed for number in (trial.number, 0) for seed in self.seeds)

    def failures(self, trial: FrozenTrial) -> dict[int, float]:
        """The fresh seeds at which it fails, and sigma(Tr) there."""
        found = {seed: self.confirmed[trial.number, seed]["train"] for seed in self.seeds}
        return {
            seed: float(measured[SIGMA[self.job.protocol]])
            for seed, measured in found.items()
            if not holds(measured, self.job.protocol, self.job.kappa)
        }

    def loss_over(self, trial: FrozenTrial) -> float:
        """Mean share of accuracy that a trial loses at the fresh seeds against the untuned student at the same."""
        before, after = self.means(trial, "accuracy_student")
        return before - after

    def means(self, trial: FrozenTrial, measure: str) -> tuple[float, float]:
        """A measure's mean over the fresh seeds on the split that guards: the untuned student's, and the trial's."""
        before, after = (
            mean(self.confirmed[number, seed][self.guard_split][measure] for seed in self.seeds)
            for number in (0, trial.number)
        )
        return before, after


def confirmation(number: int, seed: int) -> str:
    """The label of a trial's run at a fresh seed; 0 is the untuned student."""
    return f"{number or 'untuned'}-seed-{seed}"


def measures_of(trial: FrozenTrial) -> Measures | None:
    """The measures of a complete trial."""
    text = trial.user_attrs.get("measures")
    measures: Measures | None = parse_measures(text) if text and trial.state == TrialState.COMPLETE else None
    return measures
