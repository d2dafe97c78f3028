"""What a search ends with: a line a trial, the verdict, and the files in results/search/."""

from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from confidistill.confidence.verdict import SIGMA, holds, objection, verdict
from confidistill.files import atomic_file
from confidistill.report.figures import save_figure
from confidistill.report.pair import split_name
from confidistill.report.tradeoff import tradeoff
from confidistill.report.tuned import GUARD, Tuned, legend, table3, table3_renderings
from confidistill.text.splits import HELD_OUT
from flows.search.job import Job
from flows.search.settings import difference, with_overrides
from flows.search.space import overrides, shown
from flows.search.study import CANDIDATES, Study, measures_of
from flows.search.trial import Measures, Outcome, Trial

FOLDER = Path("results/search")
GO_ON = "a larger --trials with --exhaustive goes on"


def told(study: Study, trial: Trial, outcome: Outcome, trials: int, workers: int) -> str:
    """A trial in one line: settings, sigma on each split, accuracy, verdict, guard, and the time left."""
    line = f"{trial.experiment}: {shown(trial.settings)}: "
    if outcome.measures is None:
        line += f"{outcome.state}: {outcome.reason}" if outcome.state == "failed" else f"pruned at {outcome.reason}"
    else:
        line += _found(study, outcome.measures)
    if not trial.label.isdigit():
        return line  # a confirmation, which is compared with the untuned student at its own seed
    if outcome.measures is not None:
        line += ", guard kept" if study.keeps_guard(outcome.measures) else ", guard LOST"
    finished = study.finished
    seconds = [each.user_attrs.get("seconds", 0.0) for each in finished]
    left = max(0, trials - len(finished)) * sum(seconds) / len(seconds) / workers
    pruned = sum(each.state == TrialState.PRUNED for each in finished)
    return f"{line}; {len(finished)} of {trials}, {pruned} pruned, at most {_minutes(left)} left"


def _found(study: Study, measures: Measures) -> str:
    name, guard = SIGMA[study.job.protocol], study.guard_split
    sigmas = ", ".join(f"{split_name(split)} {measured[name]:.4f}" for split, measured in measures.items())
    accuracy = 100 * measures[guard]["accuracy_student"]
    judged = verdict(measures["train"], study.job.protocol, study.job.kappa)
    points = f"{accuracy:.1f} % ({100 * (0 - study.loss(measures)):+.1f})"
    return f"sigma {sigmas}; accuracy {split_name(guard)} {points}; {judged}"


def _minutes(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d} min"


def conclude(study: Study) -> tuple[str, bool]:
    """Write the files of results/search/; the text that the search ends with, and whether the property is restored."""
    job, winner, untuned = study.job, study.winner, study.untuned
    assert winner and untuned  # the untuned student keeps its own guard
    best = measures_of(winner)
    assert best
    rows = trials_table(study, winner)
    stem = FOLDER / job.study
    with atomic_file(stem.with_name(f"{job.study}.csv")) as path:
        rows.to_csv(path, index=False)
    save_figure(_picture(study, rows), stem)
    tuned = [Tuned(job.task, job.student, untuned, best, job.protocol, job.kappa, guards=study.guard_split)]
    for suffix, text in table3_renderings(tuned).items():
        with atomic_file(stem.with_name(f"{job.study}-table3{suffix}")) as path:
            path.write_text(text, encoding="utf-8")
    said, restored = judgement(study, winner)
    lines = [
        *(refutation(study, trial) for trial in study.refuted if trial.number != winner.number),
        f"winner: {job.study}-{winner.number}: {shown(study.settings_of(winner))}",
        *(_confirmed(study, winner, seed) for seed in study.seeds if study.confirmation(winner, seed)),
        "",
        *(f"{name:<22} {value}" for name, value in table3(tuned).iloc[0].items()),
        legend(tuned),
        "",
        said,
        *_held_out(study, best),
        f"trials: {stem}.csv, {stem}.png; as experiments: dvc exp show, dvc exp apply {job.study}-{winner.number}",
    ]
    return "\n".join(lines), restored


def _held_out(study: Study, best: Measures) -> list[str]:
    """Where the student is still far from its teacher on text that it has not learnt from: what moves that."""
    name, kappa = SIGMA[study.job.protocol], study.job.kappa
    if HELD_OUT not in best or not best[HELD_OUT][name] > kappa:  # or it is undefined
        return []
    far = (
        f"on held-out text sigma is {best[HELD_OUT][name]:.4f} still: more text to learn from moves it, which no trial"
    )
    return [f'{far} varies: docs/restore.md, "On text that nobody trained on"']


def _confirmed(study: Study, winner: FrozenTrial, seed: int) -> str:
    measures = study.confirmation(winner, seed)
    assert measures
    return f"{study.job.study}-{winner.number}-seed-{seed}: {_found(study, measures)}"


def refutation(study: Study, trial: FrozenTrial) -> str:
    """Why a trial that holds at the search's seed is not taken."""
    return f"{study.job.study}-{trial.number}: REFUTED: it holds at the search's seed, but {_failed(study, trial)}"


def _failed(study: Study, trial: FrozenTrial) -> str:
    """What fails at the fresh seeds: sigma(Tr), or accuracy by more than few rows explain; '' if nothing does."""
    failed = [
        f"seed {seed}: sigma(Tr) {sigma:.4f} > {study.job.kappa:g}" for seed, sigma in study.failures(trial).items()
    ]
    if study.loss_over(trial) >= study.allowance:
        failed.append(f"seeds {', '.join(map(str, study.seeds))}: {_change(study, trial)}")
    return "; ".join(failed)


def _change(study: Study, trial: FrozenTrial) -> str:
    """What the fresh seeds say, in their mean, of the split that guards."""
    points = 100 * (0 - study.loss_over(trial))
    split = split_name(study.guard_split)
    change = f"accuracy on {split} {points:+.1f} points in the mean, against the untuned student's"
    if study.guard_split == HELD_OUT:
        change += ", and sigma there {:.4f} -> {:.4f}".format(*study.means(trial, SIGMA[study.job.protocol]))
    return change


def judgement(study: Study, winner: FrozenTrial) -> tuple[str, bool]:
    """The verdict on the winner in one line, and whether it is restored.

    It is where it holds at every fresh seed and loses less than a point of accuracy in their mean, against the untuned
    student at the same seeds.
    """
    job, best = study.job, measures_of(winner)
    assert best
    sigma = best["train"][SIGMA[job.protocol]]
    if reason := objection(best["train"], job.protocol):
        return f"NOT RESTORED: {reason}", False
    if not holds(best["train"], job.protocol, job.kappa):
        least = f"the least sigma(Tr) with the guard kept (less than {study.allowance:.1%} of accuracy lost"
        least += f" on {split_name(study.guard_split)})"
        return f"NOT RESTORED: {least} is {sigma:.4f} > kappa {job.kappa:g}: {GO_ON}", False
    if not study.seeds:
        return f"NOT CONFIRMED: sigma(Tr) {sigma:.4f} <= kappa {job.kappa:g}, at one seed: see --confirm-seeds", False
    spent = f"fresh seeds have refuted {CANDIDATES} trials, and confirm no more: try another --preset"
    if not study.is_confirmed(winner):
        return f"NOT RESTORED: {spent}", False
    if failed := _failed(study, winner):
        onward = "a larger --trials goes on" if study.candidates_left else spent
        return f"NOT RESTORED: it holds at the search's seed, but {failed}: {onward}", False
    named, change = ", ".join(map(str, study.seeds)), _change(study, winner)
    if study.loss_over(winner) >= GUARD:
        telling = f"{study.guard_rows} rows cannot tell less than {study.allowance:.1%} from a point"
        return (
            f"HOLDS, GUARD OPEN: sigma(Tr) <= kappa {job.kappa:g} at seeds {named}, but {change}, and {telling}: "
            f"hold out a larger share (selection), or {GO_ON}",
            False,
        )
    return f"RESTORED: sigma(Tr) <= kappa {job.kappa:g} at seeds {named}; guard kept: {change}", True


def trials_table(study: Study, winner: FrozenTrial) -> pd.DataFrame:
    """A row a trial: settings, and of a complete one its measures on each split, guard and verdict."""
    job = study.job
    rows = []
    for trial in study.finished:
        row: dict[str, Any] = {"trial": trial.number, "experiment": "", "state": trial.state.name.lower()}
        row |= dict(study.settings_of(trial))
        measures = measures_of(trial)
        if measures:
            row["experiment"] = f"{job.study}-{trial.number}"
            for split, measured in measures.items():
                for name in ("sigma", "sigma_released", "accuracy_student", "agreement"):
                    row[f"{name}_{split}"] = measured[name]
            row["verdict"] = verdict(measures["train"], job.protocol, job.kappa)
            row["guard"] = study.keeps_guard(measures)
            row["refuted"] = study.is_refuted(trial)
        row |= {name: trial.user_attrs.get(name, "") for name in ("seconds", "reason")}
        row["winner"] = trial.number == winner.number
        rows.append(row)
    return pd.DataFrame(rows)


def _picture(study: Study, rows: pd.DataFrame) -> Any:
    job, split, untuned = study.job, study.guard_split, study.untuned
    assert untuned
    complete = rows[rows["state"] == "complete"]
    points = pd.DataFrame(
        {
            "trial": complete["trial"],
            "sigma": complete[f"{SIGMA[job.protocol]}_train"],
            "accuracy": complete[f"accuracy_student_{split}"],
            "guard": complete["guard"].astype(bool),
            "winner": complete["winner"],
        }
    )
    return tradeoff(
        points,
        kappa=job.kappa,
        floor=untuned[split]["accuracy_student"] - study.allowance,
        split=split_name(split),
        title=f"{job.task} · {job.student} · {len(complete)} trials",
    )


def applied(job: Job, study: Study) -> tuple[str, str]:
    """The text of params.yaml with the winner's settings, and the difference that they make."""
    winner = study.winner
    assert winner
    text = with_overrides(job.params, job.pair, overrides(study.settings_of(winner)))
    return text, difference(job.params, text)
