"""The paper's Figure 2 drawn: densities of both confidences and of delta, reliability, scatter."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from confidistill.confidence.calibration import top_label_ece
from confidistill.files import atomic_file
from confidistill.report import curves
from confidistill.report.pair import Pair, split_name

# Okabe and Ito's colours: told apart with any colour vision, and in print.
COLOURS = {"teacher": "#0072B2", "student": "#D55E00", "difference": "#5B4B8A"}
LINES = {"teacher": "solid", "student": (0, (4, 1.5))}
VERDICT_COLOURS = {"holds": "#1A7F4B", "fails": "#B3261E", "open": "#8A6100", "not meaningful": "#5C6570"}
INK, FAINT = "#33383F", "#B9BEC6"
PANEL_INCHES = (2.9, 2.75)
SAVED: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}, "dpi": 160},
}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 19,  # room for the legend, which stands between title and axes
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "legend.borderaxespad": 0,
    "legend.borderpad": 0.2,
    "legend.columnspacing": 1.2,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "confidistill",
    "text.color": INK,
    "text.parse_math": False,  # names are the user's: a dollar sign in one is a dollar sign
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


def records(pair: Pair) -> dict[str, pd.DataFrame]:
    """The curves drawn, on the training set, as tables: densities, reliability, scatter."""
    return {
        "densities": curves.densities(pair),
        "reliability": curves.reliabilities(pair),
        "scatter": curves.scatter(pair),
    }


def draw(pair: Pair) -> dict[str, Figure]:
    """Figure 2 of every split: figure2-train, figure2-dev, …"""
    return {f"figure2-{split}": figure2(pair, split) for split in pair.splits}


def figure2(pair: Pair, split: str) -> Figure:
    """The panels of one split, side by side; reliability needs labels."""
    width, height = PANEL_INCHES
    unlabelled = pair.predictions[split][0].labels is None
    plots = [plot for name, plot in PANELS.items() if not (unlabelled and name == "reliability")]
    with matplotlib.rc_context(STYLE):
        figure = _figure(width * len(plots), height + 0.35)
        for axes, plot in zip(figure.subplots(1, len(plots)), plots, strict=True):
            plot(axes, pair, split)
        title = f"{pair.task} · {pair.student} · {split_name(split)}"
        figure.suptitle(title, x=0.01, ha="left", size=11, weight="bold")
    return figure


def panel(pair: Pair, split: str, name: str) -> Figure:
    """One panel: `confidence`, `difference`, `reliability` or `scatter`."""
    with matplotlib.rc_context(STYLE):
        figure = _figure(*PANEL_INCHES)
        PANELS[name](figure.subplots(), pair, split)
    return figure


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.png and `path`.svg, the same bytes for the same figure; the paths written."""
    written = []
    for suffix in SAVED:
        target = path.with_name(f"{path.name}.{suffix}")
        with atomic_file(target) as temporary:
            temporary.write_bytes(rendered(figure, suffix))
        written.append(target)
    return written


def rendered(figure: Figure, suffix: str) -> bytes:
    """The figure as the bytes of an `svg` or `png` file, without date or version."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=suffix, **SAVED[suffix])
    return buffer.getvalue()


def plot_confidence(axes: Axes, pair: Pair, split: str) -> None:
    """Densities of the teacher's and of the student's confidence, one over the other."""
    for name, model in zip(("teacher", "student"), pair.predictions[split], strict=True):
        x, density = curves.confidence_density(model)
        axes.fill_between(x, density, color=COLOURS[name], alpha=0.15, linewidth=0)
        axes.plot(x, density, color=COLOURS[name], linestyle=LINES[name], linewidth=1.5, label=name)
    axes.set(title="Confidence of each model", xlabel="confidence", ylabel="density", xlim=(x[0], 1))
    axes.set_ylim(bottom=0)
    _legend(axes)


def plot_difference(axes: Axes, pair: Pair, split: str) -> None:
    """Density of delta, with +-sigma as lines and +-kappa as a band."""
    sigma, kappa = pair.sigma(split), pair.kappa
    delta = pair.difference(split)
    # The released sigma is a standard deviation: it spreads from the mean, the definition's from zero.
    centre = 0.0 if pair.protocol == "definition" else float(delta.mean())
    reach = min(1.0, abs(centre) + max(3.5 * sigma, 1.6 * kappa))
    x, density = curves.difference_density(pair, split)
    x, density = x[abs(x) < reach], density[abs(x) < reach]
    axes.axvspan(-kappa, kappa, color=VERDICT_COLOURS["holds"], alpha=0.13, linewidth=0, label=f"±κ  {kappa:g}")
    axes.fill_between(x, density, color=COLOURS["difference"], alpha=0.15, linewidth=0)
    axes.plot(x, density, color=COLOURS["difference"], linewidth=1.6)
    for index, edge in enumerate((centre - sigma, centre + sigma)):
        label = f"±σ  {sigma:.4f}" if index == 0 else None
        colour = VERDICT_COLOURS[pair.verdict(split)]
        axes.axvline(edge, color=colour, linestyle=(0, (4, 2)), linewidth=1.3, label=label)
    axes.set(title="Difference δ, teacher − student", xlabel="δ", ylabel="density", xlim=(-reach, reach))
    axes.set_ylim(bottom=0)
    _legend(axes)


def plot_reliability(axes: Axes, pair: Pair, split: str) -> None:
    """Accuracy against confidence in bins, both models; a dot's area is its bin's share of the examples."""
    table = curves.reliabilities(pair, split)
    low = 1 / pair.predictions[split][0].probabilities.shape[1]
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
    for name, model in zip(("teacher", "student"), pair.predictions[split], strict=True):
        bins = table[table["model"] == name]
        error = top_label_ece(model.probabilities, pair.labels(split))
        share = bins["examples"] / bins["examples"].sum()
        x, y = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
        label = f"{name} {100 * error:.1f}"
        axes.plot(x, y, color=COLOURS[name], linestyle=LINES[name], linewidth=1.4, zorder=2, label=label)
        axes.scatter(x, y, s=8 + 90 * share, color=COLOURS[name], linewidth=0, zorder=2)
    bottom = min(low, float(table["accuracy"].min())) - 0.04
    axes.set(title="Reliability, top-label ECE in %", xlabel="confidence", ylabel="accuracy")
    axes.set(xlim=(low - 0.02, 1.03), ylim=(bottom, 1.04))
    _legend(axes)


def plot_scatter(axes: Axes, pair: Pair, split: str) -> None:
    """Each example's two confidences; the examples the models classify differently stand out."""
    table = curves.scatter(pair, split)
    low = 1 / pair.predictions[split][0].probabilities.shape[1]
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
    for classes, colour, alpha in (("agree", "#7A8794", 0.4), ("disagree", "#C2185B", 0.75)):
        points = table[table["classes"] == classes]
        axes.scatter(
            points["teacher"],
            points["student"],
            s=7,
            color=colour,
            alpha=alpha,
            linewidth=0,
            label=f"classes {classes}",
            rasterized=True,
        )
    axes.set(title="Teacher against student", xlabel="teacher's confidence", ylabel="student's confidence")
    axes.set(xlim=(low - 0.01, 1.01), ylim=(low - 0.01, 1.01))
    _legend(axes, markerscale=1.6, handletextpad=0)


PANELS: dict[str, Callable[[Axes, Pair, str], None]] = {
    "confidence": plot_confidence,
    "difference": plot_difference,
    "reliability": plot_reliability,
    "scatter": plot_scatter,
}


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def _legend(axes: Axes, **style: Any) -> None:
    """The legend in one row above the axes, where no curve runs."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, **style)
