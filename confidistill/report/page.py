"""The report: one self-contained HTML page, and the tables as files."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml

from confidistill.confidence.difference import pairwise_difference
from confidistill.confidence.verdict import objection
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.report import figures, spread, tables, variants
from confidistill.report.pair import TRAIN, Pair, marked_name, split_name

EXAMPLES = 10
CLASSES_SHOWN = 3
TEXT_HEAD, TEXT_TAIL = 400, 200  # characters shown of a long text

# Measures beside those of the verdict table, and what a reader should know them by.
OTHER_MEASURES = {
    "examples": "examples",
    "sigma_resampled_low": "σ over resampled rows, from",
    "sigma_resampled_high": "σ over resampled rows, to",
    "sigma_released_resampled_low": "σ released over resampled rows, from",
    "sigma_released_resampled_high": "σ released over resampled rows, to",
    "sigma_upper": "σ of all rows like these at most, by betting",
    "sigma_upper_bernstein": "σ of all rows like these at most, empirical Bernstein",
    "sigma_upper_hoeffding": "σ of all rows like these at most, Hoeffding",
    "sigma_flips": "σ of rows of different class",
    "sigma_drift": "σ of rows of the same class",
    "mean_delta": "mean δ",
    "slope": "slope of the student's log-odds on the teacher's",
    "teacher_confidence": "teacher's mean confidence",
    "student_confidence": "student's mean confidence",
    "agreement": "agreement: same class, %",
    "predictive_kl": "predictive KL(teacher ‖ student), nats",
    "probability_loyalty": "probability loyalty, 1 − √JS",
    "sigma_max_confidence": "σ of each model's own maximum",
    "ece_top_label_teacher": "teacher's ECE, top label, 15 bins, %",
    "ece_top_label_student": "student's ECE, top label, 15 bins, %",
    "mcc_teacher": "teacher's Matthews correlation",
    "mcc_student": "student's Matthews correlation",
    "f1_teacher": "teacher's F1",
    "f1_student": "student's F1",
    "bound_paper": "bound on σ: the paper's, RMS of the logits' distance",
    "bound_tight": "bound on σ: the centred logits' distance, divided by 2√2",
    "bound_pinsker": "bound on σ: Pinsker, √(mean KL / 2)",
}
OTHERS = {  # verdicts that are no "holds", as the page's first sentences count them
    "fails": "It fails for",
    "open": "Too close to call",
    "not meaningful": "Not meaningful, since a model has not learnt its task or there are too few rows",
}
SHARES = ("agreement", "ece_top_label_teacher", "ece_top_label_student")


def build_report(
    pairs: Sequence[Pair], settings: Mapping[str, Any], versions: Mapping[str, str], output_dir: Path
) -> list[Path]:
    """Write report.html, table.{csv,md}, table2.{csv,md,tex}, variants.{csv,md,tex}, seeds.csv; the paths written.

    Args:
        pairs: in the order of the tables, at least one.
        settings: what the run did, as nested mappings of plain values (params.yaml).
        versions: of the packages that did it.
        output_dir: made if absent. The same arguments give the same bytes.

    Raises:
        UserError: there is no pair to report.
    """
    if not pairs:
        raise UserError("nothing to report: params.yaml lists no task or no student")
    contents = {
        "report.html": page(pairs, settings, versions),
        **tables.renderings(pairs),
        **variants.renderings(pairs),
    }
    contents["seeds.csv"] = spread.spread_table(pairs).to_csv(index=False)
    written = []
    for name, text in contents.items():
        with atomic_file(output_dir / name) as path:
            path.write_text(text, encoding="utf-8")
        written.append(output_dir / name)
    return written


def page(pairs: Sequence[Pair], settings: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """The HTML page: no script, no request; every value escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    axis_end = _axis_end(pairs)
    return environment.get_template("page.html").render(
        pairs=[_pair_view(pair, f"pair-{number}", axis_end) for number, pair in enumerate(pairs, start=1)],
        tests=sorted({(pair.protocol, pair.kappa) for pair in pairs}),
        paper_table=tables.table2(pairs),
        spread=spread.display_spread(pairs),
        spread_legend=spread.LEGEND,
        variants=variants.display_variants(pairs),
        variants_legend=variants.LEGEND,
        parts=tables.parts(pairs),
        others=OTHERS,
        settings=yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100),
        versions=versions,
        percent=tables.percent,
        decimals=tables.decimals,
    )


def largest_differences(pair: Pair, split: str = TRAIN, count: int = EXAMPLES) -> list[dict[str, Any]]:
    """The `count` examples with the largest |delta(x)| (Eq. 3), with both models' probabilities."""
    teacher, student = pair.predictions[split]
    delta = pairwise_difference(teacher.probabilities, student.probabilities)
    rows = np.argsort(-np.abs(delta), kind="stable")[:count]
    return [
        {
            "text": _clipped(pair.texts[split][row]),
            "label": pair.label_names[pair.labels(split)[row]],
            "delta": float(delta[row]),
            "classes": _classes(pair.label_names, teacher.probabilities[row], student.probabilities[row]),
        }
        for row in rows
    ]


def _classes(names: Sequence[str], teacher: np.ndarray, student: np.ndarray) -> list[dict[str, Any]]:
    """The classes that matter for one example, in their own order: both models' probabilities and choices."""
    shown = np.sort(np.argsort(-np.maximum(teacher, student), kind="stable")[:CLASSES_SHOWN])
    return [
        {
            "name": names[index],
            "teacher": float(teacher[index]),
            "student": float(student[index]),
            "teacher_chose": index == teacher.argmax(),
            "student_chose": index == student.argmax(),
        }
        for index in shown
    ]


def _pair_view(pair: Pair, anchor: str, axis_end: float) -> dict[str, Any]:
    """Everything the template shows of one pair."""
    return {
        "pair": pair,
        "verdict": pair.verdict(),
        "objection": objection(pair.measures[TRAIN], pair.protocol),
        "anchor": anchor,
        "splits": [_split_view(pair, split, axis_end) for split in pair.splits],
        "measures": [
            (title, [_measure(pair.measures[split], name) for split in pair.splits])
            for name, title in OTHER_MEASURES.items()
            if name in pair.measures[TRAIN]
        ],
        "examples": largest_differences(pair),
    }


def _split_view(pair: Pair, split: str, axis_end: float) -> dict[str, Any]:
    sigma, (low, high) = pair.sigma(split), pair.interval(split)
    marks = {"sigma": sigma, "low": low, "high": high, "kappa": pair.kappa}
    return {
        "name": marked_name(pair, split),
        "judged": split == TRAIN,
        "measured": pair.measures[split],
        "sigma": sigma,
        "flips": _flips_share(pair.measures[split]),
        "interval": (low, high),
        "verdict": pair.verdict(split),
        "marks": {name: 100 * value / axis_end for name, value in marks.items()},  # % of the axis's width
        "panels": [(_alternative(pair, split, name), _image(pair, split, name)) for name in figures.PANELS],
    }


def _flips_share(measured: Mapping[str, float]) -> int:
    """How much of sigma^2 (by definition) is on inputs of different class, in whole %."""
    return round(100 * measured["sigma_flips"] ** 2 / measured["sigma"] ** 2) if measured["sigma"] else 0


def _axis_end(pairs: Sequence[Pair]) -> float:
    """Where the verdict table's small axes end: beyond every interval that is judged and every kappa."""
    highs = [pair.interval(split)[1] for pair in pairs for split in pair.splits]
    return 1.05 * float(np.nanmax([*highs, *(2 * pair.kappa for pair in pairs)]))


def _image(pair: Pair, split: str, name: str) -> str:
    svg = figures.rendered(figures.panel(pair, split, name), "svg")
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def _alternative(pair: Pair, split: str, name: str) -> str:
    """What a panel shows, for those who do not see it."""
    measured = pair.measures[split]
    what = {
        "confidence": "Densities of the teacher's and of the student's confidence, one over the other.",
        "difference": f"Density of the difference: sigma {pair.sigma(split):.4f}, kappa {pair.kappa:g}.",
        "reliability": "Accuracy against confidence: top-label ECE "
        f"{measured['ece_top_label_teacher']:.1%} for the teacher, "
        f"{measured['ece_top_label_student']:.1%} for the student.",
        "scatter": "The student's confidence against the teacher's, a dot an example: "
        f"{measured['agreement']:.1%} are given the same class.",
    }
    return f"{pair.task}, {pair.student}, {split_name(split)}. {what[name]}"


def _measure(measured: Mapping[str, float], name: str) -> str:
    if name == "examples":
        return f"{int(measured[name]):,}"
    return tables.percent(measured[name]) if name in SHARES else tables.decimals(measured[name])


def _clipped(text: str) -> str:
    """A long text without its middle: of a pair, the second text stands at the end."""
    if len(text) <= TEXT_HEAD + TEXT_TAIL:
        return text
    return f"{text[:TEXT_HEAD].rstrip()} … {text[-TEXT_TAIL:].lstrip()}"
