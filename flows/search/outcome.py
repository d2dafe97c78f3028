"""What a search ends with: a line a trial, the verdict, and the files in results/search/."""

from collections.abc import Iterator
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
from flows.search.findings import CANDIDATES, Findings, confirmation, measures_of
from flows.search.settings import difference, with_overrides
from flows.search.space import overrides, shown
from flows.search.trial import Measures, Outcome, Trial

FOLDER = Path("results/search")
GO_ON = "a larger --trials with --exhaustive goes on"


def told(found: Findings, trial: Trial, outcome: Outcome, trials: int, workers: int) -> str:
    """A trial in one line: settings, sigma on each split, accuracy, verdict, guard, and the time left."""
    line = f"{trial.experiment}: {shown(trial.settings)}: "
    if outcome.measures is None:
        line += f"{outcome.state}: {outcome.reason}" if outcome.state == "failed" else f"pruned at {outcome.reason}"
    else:
        line += _measured(found, outcome.measures)
    if not trial.label.isdigit():
        return line  # a confirmation, which is compared with the untuned student at its own seed
    if outcome.measures is not None:
        line += ", guard kept" if found.keeps_guard(outcome.measures) else ", guard LOST"
    finished = found.trials
    seconds = [each.user_attrs.get("seconds", 0.0) for each in finished]
    left = max(0, trials - len(finished)) * sum(seconds) / len(seconds) / workers
    pruned = sum(each.state == TrialState.PRUNED for each in finished)
    return f"{line}; {len(finished)} of {trials}, {pruned} pruned, at most {_minutes(left)} left"


def _measured(found: Findings, measures: Measures) -> str:
    name, guard = SIGMA[found.job.protocol], found.guard_split
    sigmas = ", ".join(f"{split_name(split)} {measured[name]:.4f}" for split, measured in measures.items())
    accuracy = 100 * measures[guard]["accuracy_student"]
    judged = verdict(measures["train"], found.job.protocol, found.job.kappa)
    points = f"{accuracy:.1f} % ({100 * (0 - found.loss(measures)):+.1f})"
    return f"sigma {sigmas}; accuracy {split_name(guard)} {points}; {judged}"


def _minutes(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d} min"


def conclude(found: Findings) -> tuple[str, bool]:
    """Write the files of results/search/; the text that the search ends with, and whether the property is restored."""
    job, winner, untuned = found.job, found.winner, found.untuned
    assert winner and untuned  # the untuned student keeps its own guard
    best = measures_of(winner)
    assert best
    rows = trials_table(found, winner)
    stem = FOLDER / job.study
    with atomic_file(stem.with_name(f"{job.study}.csv")) as path:
        rows.to_csv(path, index=False)
    save_figure(_picture(found, rows), stem)
    tuned = [Tuned(job.task, job.student, untuned, best, job.protocol, job.kappa, guards=found.guard_split)]
    for suffix, text in table3_renderings(tuned).items():
        with atomic_file(stem.with_name(f"{job.study}-table3{suffix}")) as path:
            path.write_text(text, encoding="utf-8")
    said, restored = judgement(found)
    lines = [
        *(refutation(found, trial) for trial in found.refuted if trial.number != winner.number),
        f"winner: {job.study}-{winner.number}: {shown(found.settings_of(winner))}",
        *_confirmations(found, winner),
        "",
        *(f"{name:<22} {value}" for name, value in table3(tuned).iloc[0].items()),
        legend(tuned),
        "",
        said,
        *_held_out(found, best),
        f"trials: {stem}.csv, {stem}.png; as experiments: dvc exp show, dvc exp apply {job.study}-{winner.number}",
    ]
    return "\n".join(lines), restored


def _held_out(found: Findings, best: Measures) -> list[str]:
    """Where the student is still far from its teacher on text that it has not learnt from: what moves that."""
    name, kappa = SIGMA[found.job.protocol], found.job.kappa
    if HELD_OUT not in best or not best[HELD_OUT][name] > kappa:  # or it is undefined
        return []
    far = f"on held-out text sigma is still {best[HELD_OUT][name]:.4f}: what moves that is not in the search"
    return [f'{far}: docs/restore.md, "On text that nobody trained on"']


def _confirmations(found: Findings, winner: FrozenTrial) -> Iterator[str]:
    for (number, seed), measures in found.confirmed.items():
        if number == winner.number:
            yield f"{found.job.study}-{confirmation(number, seed)}: {_measured(found, measures)}"


def refutation(found: Findings, trial: FrozenTrial) -> str:
    """Why a trial that holds at the search's seed is not taken."""
    return f"{found.job.study}-{trial.number}: REFUTED: it holds at the search's seed, but {_failed(found, trial)}"


def _failed(found: Findings, trial: FrozenTrial) -> str:
    """What fails at the fresh seeds: sigma(Tr), or accuracy by more than few rows explain; '' if nothing does."""
    failed = [
        f"seed {seed}: sigma(Tr) {sigma:.4f} > {found.job.kappa:g}" for seed, sigma in found.failures(trial).items()
    ]
    if found.loss_over(trial) >= found.allowance:
        failed.append(f"seeds {', '.join(map(str, found.seeds))}: {_change(found, trial)}")
    return "; ".join(failed)


def _change(found: Findings, trial: FrozenTrial) -> str:
    """What the fresh seeds say, in their mean, of the split that guards."""
    points = 100 * (0 - found.loss_over(trial))
    split = split_name(found.guard_split)
    change = f"accuracy on {split} {points:+.1f} points in the mean, against the untuned student's"
    if found.guard_split == HELD_OUT:
        change += ", and sigma there {:.4f} -> {:.4f}".format(*found.means(trial, SIGMA[found.job.protocol]))
    return change


def judgement(found: Findings) -> tuple[str, bool]:
    """The verdict on the winner in one line, and whether the property is restored.

    It is where the winner holds at every fresh seed and loses less than a point of accuracy in their mean, against the
    untuned student at the same seeds.
    """
    job, winner = found.job, found.winner
    assert winner
    best = measures_of(winner)
    assert best
    sigma = best["train"][SIGMA[job.protocol]]
    if reason := objection(best["train"], job.protocol):
        return f"NOT RESTORED: {reason}", False
    if not holds(best["train"], job.protocol, job.kappa):
        least = f"the least sigma(Tr) with the guard kept (less than {found.allowance:.1%} of accuracy lost"
        least += f" on {split_name(found.guard_split)})"
        return f"NOT RESTORED: {least} is {sigma:.4f} > kappa {job.kappa:g}: {GO_ON}", False
    if not found.seeds:
        return f"NOT CONFIRMED: sigma(Tr) {sigma:.4f} <= kappa {job.kappa:g}, at one seed: see --confirm-seeds", False
    spent = f"fresh seeds have refuted {CANDIDATES} trials, and confirm no more: try another --preset"
    if not found.is_confirmed(winner):
        return f"NOT RESTORED: {spent}", False
    if failed := _failed(found, winner):
        onward = "a larger --trials goes on" if found.candidates_left else spent
        return f"NOT RESTORED: it holds at the search's seed, but {failed}: {onward}", False
    named, change = ", ".join(map(str, found.seeds)), _change(found, winner)
    if found.loss_over(winner) >= GUARD:
        telling = f"{found.guard_rows} rows cannot tell less than {found.allowance:.1%} from a point"
        return (
            f"HOLDS, GUARD OPEN: sigma(Tr) <= kappa {job.kappa:g} at seeds {named}, but {change}, and {telling}: "
            f"hold out a larger share (selection), or {GO_ON}",
            False,
        )
    return f"RESTORED: sigma(Tr) <= kappa {job.kappa:g} at seeds {named}; guard kept: {change}", True


def trials_table(found: Findings, winner: FrozenTrial) -> pd.DataFrame:
    """A row a trial: settings, and of a complete one its measures on each split, guard and verdict."""
    job = found.job
    rows = []
    for trial in found.trials:
        row: dict[str, Any] = {"trial": trial.number, "experiment": "", "state": trial.state.name.lower()}
        row |= dict(found.settings_of(trial))
        measures = measures_of(trial)
        if measures:
            row["experiment"] = f"{job.study}-{trial.number}"
            for split, measured in measures.items():
                for name in ("sigma", "sigma_released", "accuracy_student", "agreement"):
                    row[f"{name}_{split}"] = measured[name]
            row["verdict"] = verdict(measures["train"], job.protocol, job.kappa)
            row["guard"] = found.keeps_guard(measures)
            row["refuted"] = found.is_refuted(trial)
        row |= {name: trial.user_attrs.get(name, "") for name in ("seconds", "reason")}
        row["winner"] = trial.number == winner.number
        rows.append(row)
    return pd.DataFrame(rows)


def _picture(found: Findings, rows: pd.DataFrame) -> Any:
    job, split, untuned = found.job, found.guard_split, found.untuned
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
        floor=untuned[split]["accuracy_student"] - found.allowance,
        split=split_name(split),
        title=f"{job.task} · {job.student} · {len(complete)} trials",
    )


def applied(found: Findings) -> tuple[str, str]:
    """The text of params.yaml with the winner's settings, and the difference that they make."""
    job, winner = found.job, found.winner
    assert winner
    text = with_overrides(job.params, job.pair, overrides(found.settings_of(winner)))
    return text, difference(job.params, text)
