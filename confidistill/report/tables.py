"""The verdict table and the paper's Table 2, for a terminal and as CSV, Markdown and LaTeX."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from confidistill.confidence.verdict import SIGMA, Protocol
from confidistill.report.pair import TRAIN, Pair, marked_name, split_name

MEASURES = (
    "examples",
    "majority",
    "accuracy_teacher",
    "accuracy_student",
    "ece_teacher",
    "ece_student",
    "sigma",
    "sigma_low",
    "sigma_high",
    "sigma_released",
    "released_left_out",
)
EXTRA_MEASURES = ("mcc_teacher", "mcc_student", "f1_teacher", "f1_student")
ABSENT = "–"
LEFT = ("task", "student", "deployed", "split", "guard", "verdict")  # columns of words
INTERVAL_LEGEND = "[95 %]: a confidence interval, for text that the student has not seen (so not for Tr)."
OTHER_VERDICTS = {
    "open": "open: too close to call, σ over resampled rows lies on both sides of κ.",
    "not meaningful": "not meaningful: too few rows, or a model that does not beat the majority class.",
}
PAPER_LEGEND = "acc/ECE in %; σ by the released protocol, as in the paper."


def verdict_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row a task x student x split: the measures as numbers (shares, not %), protocol, kappa, verdict.

    The verdict of `train` is phi_cnf (Eq. 4); that of another split says how the same test ends there.
    MCC and F1 are columns where a task is judged by them, `official_rows` where a split is a part of the official one.
    """
    extra = [name for name in EXTRA_MEASURES if any(name in pair.measures[TRAIN] for pair in pairs)]
    rows = []
    for pair in pairs:
        for split in pair.splits:
            measured = pair.measures[split]
            row: dict[str, Any] = {"task": pair.task, "student": pair.student, "split": split_name(split)}
            row |= {name: measured[name] for name in MEASURES}
            row |= {name: measured.get(name) for name in extra}
            if any(other.official_rows for other in pairs):
                row |= {"official_rows": pair.official_rows.get(split, measured["examples"])}
            row |= {"protocol": pair.protocol, "kappa": pair.kappa, "verdict": pair.verdict(split)}
            rows.append(row)
    return pd.DataFrame(rows)


def display_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """The verdict table in a reader's form: strings, % for shares, intervals in brackets.

    The verdicts of splits other than Tr are in parentheses.
    """
    rows = []
    names = [marked_name(pair, split) for pair in pairs for split in pair.splits]
    for row, name in zip(verdict_table(pairs).to_dict("records"), names, strict=True):
        rows.append(
            {
                "task": row["task"],
                "student": row["student"],
                "split": name,
                "majority": percent(row["majority"]),
                "T acc/ECE": _accuracy_and_ece(row, "teacher"),
                "S acc/ECE": _accuracy_and_ece(row, "student"),
                "σ definition [95 %]": interval(row, "sigma"),
                "σ released (left out)": released(row),
                "verdict": row["verdict"] if row["split"] == split_name(TRAIN) else f"({row['verdict']})",
            }
        )
    return pd.DataFrame(rows)


def legend(pairs: Sequence[Pair]) -> list[str]:
    """Sentences: how the verdict was reached, for each protocol and kappa in use; and what was measured on a part."""
    tests = sorted({(pair.protocol, pair.kappa) for pair in pairs})
    judged = " or ".join(f"σ {protocol} ≤ κ = {kappa:g}" for protocol, kappa in tests)
    verdicts = f"Verdict: {judged} on Tr; (in parentheses) the same test on held-out text. T teacher, S student."
    reached = {pair.verdict(split) for pair in pairs for split in pair.splits}
    others = [text for name, text in OTHER_VERDICTS.items() if name in reached]
    return [verdicts, INTERVAL_LEGEND, *others, *parts(pairs)]


def parts(pairs: Sequence[Pair]) -> list[str]:
    """A sentence that says what the asterisks mean; none where there are none."""
    partial = {
        f"{pair.task} {split_name(split)} {pair.measures[split]['examples']:,} of {rows:,} rows": None
        for pair in pairs
        for split, rows in pair.official_rows.items()
    }
    return [f"* A part of the official split: {', '.join(partial)}."] if partial else []


def terminal_table(pairs: Sequence[Pair]) -> str:
    """The verdict table in aligned columns, some 115 characters wide; names stand on a pair's first row."""
    table = display_table(pairs)
    repeated = table[["task", "student"]].eq(table[["task", "student"]].shift()).all(axis=1)
    table.loc[repeated, ["task", "student"]] = ""
    return "\n".join([aligned(table, [*table.columns[:3], "verdict"]), *legend(pairs)])


def aligned(table: pd.DataFrame, words: Sequence[str]) -> str:
    """A table of strings for a terminal; the columns `words` are aligned left, others right."""
    widths = {name: max(len(name), *table[name].str.len()) for name in table.columns}
    lines = ["  ".join(f"{name:{'<' if name in words else '>'}{width}}" for name, width in widths.items())]
    lines.append("  ".join("─" * width for width in widths.values()))
    for row in table.to_dict("records"):
        cells = (f"{row[name]:{'<' if name in words else '>'}{width}}" for name, width in widths.items())
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def table2(pairs: Sequence[Pair], protocol: Protocol = "released") -> pd.DataFrame:
    """The layout of the paper's Table 2: a row a task x split; acc/ECE of T and each student, then sigmas.

    The paper's sigma is by the released protocol, so that is the default here, whatever judges.
    """
    measure = SIGMA[protocol]
    students = list(dict.fromkeys(pair.student for pair in pairs))
    rows = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        of_task = {pair.student: pair for pair in pairs if pair.task == task}
        first = next(iter(of_task.values()))
        for split in first.splits:
            measured = {student: pair.measures[split] for student, pair in of_task.items()}
            row = {"task": task, "split": marked_name(first, split)}
            row["T acc/ECE"] = _accuracy_and_ece(first.measures[split], "teacher")
            for name in students:
                row[f"{name} acc/ECE"] = _accuracy_and_ece(measured[name], "student") if name in measured else ABSENT
            for name in students:
                row[f"σ {name}"] = decimals(measured[name][measure]) if name in measured else ABSENT
            rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """A table of strings as a Markdown table; columns of numbers are aligned right."""
    rule = [":--" if name in LEFT else "--:" for name in table]
    rows = [list(table.columns), rule, *table.to_numpy().tolist()]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def latex(table: pd.DataFrame) -> str:
    """A table of strings as a LaTeX tabular (needs the package booktabs)."""
    columns = "".join("l" if name in LEFT else "r" for name in table)
    rows = [" & ".join(map(_latex_escaped, row)) + r" \\" for row in table.to_numpy().tolist()]
    heading = " & ".join(map(_latex_escaped, table.columns)) + r" \\"
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", heading, r"\midrule", *rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def percent(share: float) -> str:
    """A share in %, one decimal."""
    return f"{100 * share:.1f}"


def decimals(value: float) -> str:
    """Four decimals; a dash for a measure without examples (NaN)."""
    return ABSENT if pd.isna(value) else f"{value:.4f}"


def released(measured: dict) -> str:
    """sigma by the released protocol, with the share of the rows that it leaves out."""
    if pd.isna(measured["sigma_released"]):
        return ABSENT
    return f"{measured['sigma_released']:.4f} ({percent(measured['released_left_out'])} %)"


def interval(measured: dict, name: str) -> str:
    """A measure with its 95 % interval."""
    if pd.isna(measured[name]):
        return ABSENT
    return f"{measured[name]:.4f} [{measured[f'{name}_low']:.4f}, {measured[f'{name}_high']:.4f}]"


def renderings(pairs: Sequence[Pair]) -> dict[str, str]:
    """Every table file of the report: file name -> text."""
    paper = table2(pairs)
    return {
        "table.csv": verdict_table(pairs).to_csv(index=False),
        "table.md": f"{markdown(display_table(pairs))}\n{' '.join(legend(pairs))}\n",
        "table2.csv": paper.to_csv(index=False),
        "table2.md": f"{markdown(paper)}\n{' '.join([PAPER_LEGEND, *parts(pairs)])}\n",
        "table2.tex": latex(paper),
    }


def _accuracy_and_ece(measured: dict, model: str) -> str:
    return f"{percent(measured[f'accuracy_{model}'])}/{percent(measured[f'ece_{model}'])}"


def _latex_escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_LATEX: dict[str, str] = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "σ": r"$\sigma$",
    "–": "--",
    "→": r"$\to$",
}
