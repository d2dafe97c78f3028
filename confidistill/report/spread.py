"""A pair over several seeds, and the teacher against itself: how much of a sigma is the seed's."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from confidistill.confidence.verdict import holds
from confidistill.report.pair import TRAIN, Pair, split_name
from confidistill.report.tables import ABSENT, decimals, percent

LEGEND = (
    "Mean ± standard deviation over the seeds, the pair's own included; holds: of these, how many hold φ_cnf on Tr; "
    "σ(T, T′): the teacher against itself, fine-tuned with other seeds; ratio: σ over σ(T, T′)."
)


def spread_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row a pair x split of those that were repeated or whose teacher was: numbers, None where there is none.

    Columns: seeds, sigma_mean, sigma_deviation (of the sample, N - 1), agreement_mean, accuracy_mean, share_holding
    (of the seeds, on Tr), floor (mean sigma of teacher against teacher) and ratio (sigma_mean / floor).
    """
    rows = []
    for pair in pairs:
        if not pair.repeats and not pair.floor:
            continue
        runs, measure = [pair.measures, *pair.repeats], pair.judged_measure
        held = [holds(run[TRAIN], pair.protocol, pair.kappa) for run in runs]
        for split in pair.splits:
            sigmas = np.array([run[split][measure] for run in runs])
            floor = float(np.mean([other[split][measure] for other in pair.floor])) if pair.floor else None
            rows.append(
                {
                    "task": pair.task,
                    "student": pair.student,
                    "split": split_name(split),
                    "seeds": len(runs),
                    "sigma_mean": float(sigmas.mean()),
                    "sigma_deviation": float(sigmas.std(ddof=1)) if len(runs) > 1 else None,
                    "agreement_mean": float(np.mean([run[split]["agreement"] for run in runs])),
                    "accuracy_mean": float(np.mean([run[split]["accuracy_student"] for run in runs])),
                    "share_holding": float(np.mean(held)),
                    "floor": floor,
                    "ratio": float(sigmas.mean()) / floor if floor else None,
                }
            )
    return pd.DataFrame(rows)


def display_spread(pairs: Sequence[Pair]) -> pd.DataFrame:
    """The same in a reader's form: strings, % for shares."""
    shown = []
    for row in spread_table(pairs).to_dict("records"):
        deviation, floor = row["sigma_deviation"], row["floor"]
        shown.append(
            {
                "task": row["task"],
                "student": row["student"],
                "split": row["split"],
                "seeds": str(row["seeds"]),
                "σ": decimals(row["sigma_mean"]) + ("" if pd.isna(deviation) else f" ± {decimals(deviation)}"),
                "holds": f"{round(row['share_holding'] * row['seeds'])} of {row['seeds']}"
                if row["split"] == split_name(TRAIN)
                else "",
                "agreement": percent(row["agreement_mean"]),
                "acc": percent(row["accuracy_mean"]),
                "σ(T, T′)": ABSENT if pd.isna(floor) else decimals(floor),
                "ratio": ABSENT if pd.isna(row["ratio"]) else f"{row['ratio']:.2f}",
            }
        )
    return pd.DataFrame(shown)
