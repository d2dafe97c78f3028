"""What a search has found: sigma(Tr) against accuracy, a dot a trial."""

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from confidistill.report.figures import COLOURS, INK, PANEL_INCHES, STYLE, VERDICT_COLOURS


def tradeoff(trials: pd.DataFrame, *, kappa: float, floor: float, split: str, title: str) -> Figure:
    """Sigma(Tr) and accuracy of each trial, with kappa and the least accuracy that the guard allows as lines.

    Args:
        trials: `trial` (0: untuned), `sigma`, `accuracy` (a share, on the split that guards), `guard` (kept or not) and
            `winner`; a row a trial.
        floor: the accuracy that the guard asks for, as a share.
        split: the name of the split that guards.
    """
    width, height = PANEL_INCHES
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.7 * width, 1.25 * height), layout="constrained", dpi=110)
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        holds = VERDICT_COLOURS["holds"]
        low = min(0.0, float(trials["sigma"].min()))
        axes.axvspan(low, kappa, color=holds, alpha=0.1, linewidth=0, label=f"σ ≤ κ  {kappa:g}")
        axes.axhline(100 * floor, color=VERDICT_COLOURS["fails"], linestyle=(0, (4, 2)), linewidth=1, label="guard")
        for kept, marker in ((True, "o"), (False, "x")):
            rows = trials[(trials["guard"] == kept) & ~trials["winner"] & (trials["trial"] != 0)]
            name = "guard kept" if kept else "guard lost"
            colour = COLOURS["difference"] if kept else VERDICT_COLOURS["fails"]
            if len(rows):
                axes.scatter(rows["sigma"], 100 * rows["accuracy"], s=26, marker=marker, color=colour, label=name)
        untuned, winner = trials[trials["trial"] == 0], trials[trials["winner"]]
        axes.scatter(untuned["sigma"], 100 * untuned["accuracy"], s=42, marker="s", color=INK, label="untuned")
        axes.scatter(winner["sigma"], 100 * winner["accuracy"], s=90, marker="*", color=holds, zorder=3, label="winner")
        axes.set(xlabel="σ(Tr)", ylabel=f"accuracy on {split}, %")
        axes.set_xlim(left=low)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=3)
        figure.suptitle(title, x=0.01, ha="left", size=11, weight="bold")
    return figure
