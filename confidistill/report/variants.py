"""The chain teacher -> student -> what is deployed: each variant judged against both, and what it costs."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from confidistill.confidence.agreement import accuracy
from confidistill.confidence.difference import pairwise_difference, sigma, sigma_released
from confidistill.confidence.predictions import Predictions
from confidistill.confidence.verdict import verdict
from confidistill.report.pair import TRAIN, Pair, Variant, marked_name, split_name
from confidistill.report.tables import ABSENT, aligned, decimals, latex, markdown, percent

STUDENT = "pytorch"  # what the table calls the student as it was trained
WORDS = 4  # columns of words, before those of numbers
LEGEND = (
    "σ(S, ·) is against the student, σ(T, ·) against the teacher, by the protocol that judges. Verdict of the chain: "
    "the student's → that of what is deployed, both against the teacher. /T: over the teacher's; p50 and p99 of one "
    "text's latency and texts/s in batches of 32, on one thread, measured on the machine that ran it: these differ "
    "from run to run."
)
NOTHING = "nothing is exported: `export` is empty in params.yaml"


def variant_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row a pair x variant x split, first the student as it was trained: numbers, None where there is none.

    Columns: bytes, accuracy (a share), sigma_student, sigma_teacher, protocol, kappa, verdict_student, verdict, p50_ms,
    p99_ms, texts_per_second, and of bytes and times `<name>_ratio`, over the teacher's.
    """
    return pd.DataFrame([row for pair in pairs if pair.variants for row in _rows(pair)])


def _rows(pair: Pair) -> Iterator[dict[str, Any]]:
    for split in pair.splits:
        student = pair.predictions[split][1]
        yield _row(pair, split, STUDENT, student, str(pair.verdict(split)), pair.sigma(split)) | _costs(
            pair.variants[0], "student"
        )
    for variant in pair.variants:
        for split in pair.splits:
            measured = variant.measures[split]
            judged = verdict(measured, pair.protocol, pair.kappa)
            yield _row(
                pair, split, variant.name, variant.predictions[split], judged, measured[pair.judged_measure]
            ) | _costs(variant, "deployed")


def _row(
    pair: Pair, split: str, name: str, predictions: Predictions, judged: str, sigma_teacher: float
) -> dict[str, Any]:
    return {
        "task": pair.task,
        "student": pair.student,
        "variant": name,
        "split": split_name(split),
        "accuracy": accuracy(predictions.probabilities.argmax(1), pair.labels(split)),
        "sigma_student": sigma_between(pair, split, pair.predictions[split][1], predictions),
        "sigma_teacher": float(sigma_teacher),
        "protocol": pair.protocol,
        "kappa": pair.kappa,
        "verdict_student": pair.verdict(split),
        "verdict": judged,
    }


def sigma_between(pair: Pair, split: str, first: Predictions, second: Predictions) -> float:
    """Sigma of two models' predictions by the protocol that judges the pair; delta's class is the first's."""
    if pair.protocol == "definition":
        return sigma(pairwise_difference(first.probabilities, second.probabilities))
    return sigma_released(first.probabilities, second.probabilities, pair.labels(split))


def _costs(variant: Variant, name: str) -> dict[str, Any]:
    own, teacher = variant.costs[name], variant.costs.get("teacher")
    return dict(own) | {f"{measure}_ratio": own[measure] / teacher[measure] if teacher else None for measure in own}


def display_variants(pairs: Sequence[Pair]) -> pd.DataFrame:
    """The same in a reader's form: strings, % for shares, ratios to the teacher."""
    names = {(pair.task, split_name(split)): marked_name(pair, split) for pair in pairs for split in pair.splits}
    shown = []
    for row in variant_table(pairs).to_dict("records"):
        of_train = row["split"] == split_name(TRAIN)
        chain = row["verdict"] if row["variant"] == STUDENT else f"{row['verdict_student']} → {row['verdict']}"
        shown.append(
            {
                "task": row["task"],
                "student": row["student"],
                "deployed": row["variant"],
                "split": names[row["task"], row["split"]],
                "acc": percent(row["accuracy"]),
                "σ(S, ·)": ABSENT if row["variant"] == STUDENT else decimals(row["sigma_student"]),
                "σ(T, ·)": decimals(row["sigma_teacher"]),
                "verdict": chain if of_train else f"({chain})",
                "MB": f"{row['bytes'] / 1e6:.1f}" if of_train else "",
                **{
                    f"{title}/T": _ratio(row[f"{name}_ratio"]) if of_train else ""
                    for title, name in (
                        ("size", "bytes"),
                        ("p50", "p50_ms"),
                        ("p99", "p99_ms"),
                        ("texts/s", "texts_per_second"),
                    )
                },
            }
        )
    return pd.DataFrame(shown)


def _ratio(value: float | None) -> str:
    return ABSENT if pd.isna(value) else f"{value:.2f}"


def terminal_variants(pairs: Sequence[Pair]) -> str:
    """The table in aligned columns with its legend; empty where nothing was exported."""
    table = display_variants(pairs)
    return f"{aligned(table, [*table.columns[:WORDS], 'verdict'])}\n{LEGEND}" if len(table) else ""


def renderings(pairs: Sequence[Pair]) -> dict[str, str]:
    """Every file of these tables: file name -> text."""
    shown = display_variants(pairs)
    return {
        "variants.csv": variant_table(pairs).to_csv(index=False),
        "variants.md": f"{markdown(shown)}\n{LEGEND}\n" if len(shown) else f"{NOTHING}\n",
        "variants.tex": latex(shown) if len(shown) else f"% {NOTHING}\n",
    }
