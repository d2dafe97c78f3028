"""Tuned against untuned: the layout of the paper's Table 3, before -> after, in every form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from confidistill.confidence.verdict import Protocol, verdict
from confidistill.report.pair import TRAIN, split_name
from confidistill.report.tables import ABSENT, decimals, latex, markdown, percent

GUARD = 0.01  # a tuned student may lose less than this share of accuracy against the untuned one
# The measures of Table 3, how a reader knows them, and how they are shown.
COLUMNS = {"accuracy_student": ("acc", percent), "sigma": ("σ", decimals), "sigma_released": ("σ released", decimals)}


@dataclass(frozen=True)
class Tuned:
    """One student of a task before and after tuning: the measures of each split, `train` among them."""

    task: str
    student: str
    before: Mapping[str, Mapping[str, Any]]
    after: Mapping[str, Mapping[str, Any]]
    protocol: Protocol
    kappa: float
    guards: str | None = None
    """The split whose accuracy guards; None: every split."""

    @property
    def splits(self) -> list[str]:
        """The splits measured before and after, `train` first."""
        return [TRAIN, *(split for split in self.after if split != TRAIN and split in self.before)]

    @property
    def guard(self) -> bool:
        """Whether the accuracy guard is kept."""
        splits = [self.guards] if self.guards else self.splits
        return all(guard_kept(self.before[split], self.after[split]) for split in splits)

    @property
    def verdicts(self) -> tuple[str, str]:
        """The verdict on Tr, before and after."""
        before, after = (verdict(measures[TRAIN], self.protocol, self.kappa) for measures in (self.before, self.after))
        return before, after


def guard_kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a tuned student loses less than a point of accuracy, on one split."""
    return bool(after["accuracy_student"] - before["accuracy_student"] > -GUARD)


def legend(tuned: Sequence[Tuned]) -> str:
    """What is not in the headings of Table 3."""
    guards = {split_name(pair.guards) if pair.guards else "every split" for pair in tuned}
    return (
        "Untuned → tuned; acc in %. The guard is kept where the tuned student loses less than one point of accuracy on "
        f"{' or '.join(sorted(guards))}; the verdict is Tr's."
    )


def table3(tuned: Sequence[Tuned]) -> pd.DataFrame:
    """A row a student: accuracy and both sigmas of each split, before -> after, guard and verdict, as strings."""
    splits = list(dict.fromkeys(split for pair in tuned for split in pair.splits))
    rows = []
    for pair in tuned:
        row = {"task": pair.task, "student": pair.student}
        for name, (title, shown) in COLUMNS.items():
            for split in splits:
                cell = ABSENT
                if split in pair.splits:
                    cell = f"{shown(pair.before[split][name])} → {shown(pair.after[split][name])}"
                row[f"{title} {split_name(split)}"] = cell
        before, after = pair.verdicts
        row |= {"guard": "kept" if pair.guard else "LOST", "verdict": f"{before} → {after}"}
        rows.append(row)
    return pd.DataFrame(rows)


def table3_numbers(tuned: Sequence[Tuned]) -> pd.DataFrame:
    """The same as numbers, a row a student x split: `<measure>_untuned`, `<measure>_tuned`, guard, verdicts on Tr."""
    rows = []
    for pair in tuned:
        before, after = pair.verdicts
        for split in pair.splits:
            row: dict[str, Any] = {"task": pair.task, "student": pair.student, "split": split_name(split)}
            for name in COLUMNS:
                row |= {f"{name}_untuned": pair.before[split][name], f"{name}_tuned": pair.after[split][name]}
            row |= {"guard": guard_kept(pair.before[split], pair.after[split])}
            row |= {"verdict_untuned": before, "verdict_tuned": after, "protocol": pair.protocol, "kappa": pair.kappa}
            rows.append(row)
    return pd.DataFrame(rows)


def table3_renderings(tuned: Sequence[Tuned]) -> dict[str, str]:
    """Table 3 by suffix: .csv (numbers), .md, .tex, .html (as shown)."""
    shown, said = table3(tuned), legend(tuned)
    return {
        ".csv": table3_numbers(tuned).to_csv(index=False),
        ".md": f"{markdown(shown)}\n{said}\n",
        ".tex": latex(shown),
        ".html": shown.to_html(index=False, border=0) + f"\n<p>{said}</p>\n",
    }
