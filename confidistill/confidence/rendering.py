"""A verdict for a terminal, a job's summary (Markdown), a test report (JUnit XML) and a notebook (HTML)."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.verdict import SIGMA

if TYPE_CHECKING:
    from confidistill.confidence.judgement import Verdict

GROUPS = "groups, the largest sigma first; [95 %]: for rows new to the student, each group by itself"


def rows(verdict: "Verdict") -> dict[str, str]:
    """The measures by the name that a reader sees; `teacher -> student` where both have one."""
    measured, kappa = verdict.measures, verdict.kappa
    labelled = not math.isnan(measured["majority"])

    def both(name: str) -> str:
        return f"{measured[f'{name}_teacher']:.2%} -> {measured[f'{name}_student']:.2%}"

    def resampled(name: str) -> str:
        return (
            f"{measured[f'{name}_resampled_low']:.6f} to {measured[f'{name}_resampled_high']:.6f} over resampled rows"
        )

    def released() -> str:
        if math.isnan(measured["sigma_released"]):
            return "undefined: both models are right on no example"
        left_out = f"leaves out {measured['released_left_out']:.2%} of the rows"
        return f"{measured['sigma_released']:.6f}, {resampled('sigma_released')}, {left_out}"

    bounds = {name: f"{name.capitalize()} {measured[f'bound_{name}']:.4f}" for name in ("pinsker", "tight", "paper")}
    shown = {"teacher": verdict.teacher, "student": verdict.student, "examples": f"{measured['examples']:,}"}
    if labelled:
        shown |= {
            "majority class": f"{measured['majority']:.2%}",
            "accuracy": both("accuracy"),
            "ECE, stacked, 10 bins": both("ece"),
            "ECE, top label, 15 bins": both("ece_top_label"),
        }
    shown |= {
        "mean confidence": f"{measured['teacher_confidence']:.2%} -> {measured['student_confidence']:.2%}",
        "agreement": f"{measured['agreement']:.2%}",
        "KL(teacher || student)": f"{measured['predictive_kl']:.4f} nats",
        "sigma, definition": f"{measured['sigma']:.6f}, {resampled('sigma')}",
        "  of different class": f"{measured['sigma_flips']:.6f}, of the same class {measured['sigma_drift']:.6f}",
        "  mean delta": f"{measured['mean_delta']:+.6f}, slope of the log-odds {measured['slope']:.3f}",
        "  95 % confidence": f"{measured['sigma_low']:.6f} to {measured['sigma_high']:.6f}, one-sided: at most "
        f"{measured['sigma_upper']:.6f}",
        "": f"(valid for rows new to the student; kappa cannot be certified by fewer than {rows_needed(kappa):,})",
    }
    if labelled:
        shown |= {"sigma, released": released()}
    shown |= {
        "sigma, max confidence": f"{measured['sigma_max_confidence']:.6f}  (never judged by)",
        "bounds on sigma": f"{', '.join(bounds.values())} (protocol definition)",
    }
    return shown


def text(verdict: "Verdict") -> str:
    """The measures in aligned lines, and the groups."""
    lines = [f"{name:<24} {value}" for name, value in rows(verdict).items()]
    if verdict.groups is not None:
        lines += ["", *_aligned(group_table(verdict.groups)), f"({GROUPS})", ""]
    return "\n".join(lines)


def summary(verdicts: Sequence["Verdict"]) -> str:
    """Several students of one teacher in aligned lines, one each, and their groups."""
    lines = _aligned(summary_table(verdicts))
    for verdict in verdicts:
        if verdict.groups is not None:
            lines += ["", f"{verdict.student}:", *_aligned(group_table(verdict.groups)), f"({GROUPS})"]
    return "\n".join(lines)


def summary_table(verdicts: Sequence["Verdict"]) -> list[list[str]]:
    """A header, and a row a student."""
    table = [["student", "rows", "accuracy", "agreement", "sigma", "resampled", "at most, 95 %", "verdict"]]
    for verdict in verdicts:
        of = verdict.measures
        name = SIGMA[verdict.protocol]
        accuracy = "" if math.isnan(of["majority"]) else f"{of['accuracy_teacher']:.2%} -> {of['accuracy_student']:.2%}"
        resampled = f"{of[f'{name}_resampled_low']:.4f} to {of[f'{name}_resampled_high']:.4f}"
        cells = [verdict.student, f"{of['examples']:,}", accuracy, f"{of['agreement']:.2%}", f"{of[name]:.4f}"]
        table.append([*cells, resampled, f"{of['sigma_upper']:.4f}", verdict.outcome])
    return table


def group_table(groups: Iterable[Any]) -> list[list[str]]:
    """A header, and a row a group."""
    groups = list(groups)
    labelled = any(not math.isnan(group["accuracy_teacher"]) for group in groups)
    table = [["group", "rows", "sigma [95 %]", "mean delta", "agreement", *(["accuracy"] if labelled else [])]]
    for group in groups:
        interval = f"{group['sigma']:.4f} [{group['sigma_low']:.4f}, {group['sigma_high']:.4f}]"
        cells = [group["group"], f"{group['examples']:,}", interval, f"{group['mean_delta']:+.4f}"]
        accuracy = f"{group['accuracy_teacher']:.2%} -> {group['accuracy_student']:.2%}"
        table.append([*cells, f"{group['agreement']:.2%}", *([accuracy] if labelled else [])])
    return table


def markdown(verdicts: Sequence["Verdict"], told: Sequence[str]) -> str:
    """Students, their groups, and what is told of each, for the summary of a job."""
    first = verdicts[0]
    name = "σ" if first.protocol == "definition" else "σ (released protocol)"
    lines = [f"### Is the student as sure as its teacher? {name} ≤ κ = {first.kappa:g}", ""]
    lines += [f"Teacher: `{first.teacher}`", "", *_piped(summary_table(verdicts)), ""]
    lines += [f"- `{verdict.student}`: {line}" for verdict, line in zip(verdicts, told, strict=True)]
    for verdict in verdicts:
        if verdict.groups is not None:
            lines += ["", f"#### `{verdict.student}`: {GROUPS}", "", *_piped(group_table(verdict.groups))]
    return "\n".join(lines) + "\n"


def junit(verdicts: Sequence["Verdict"], told: Sequence[str], passed: Sequence[bool]) -> str:
    """A test suite of one test case a student, a failure where the gate is closed."""
    suite = ElementTree.Element("testsuite", name="confidistill check", tests=str(len(verdicts)))
    suite.set("failures", str(passed.count(False)))
    suite.set("errors", "0")
    for verdict, line, kept in zip(verdicts, told, passed, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=verdict.teacher, name=verdict.student)
        if not kept:
            ElementTree.SubElement(case, "failure", type=verdict.outcome, message=line).text = line
        ElementTree.SubElement(case, "system-out").text = str(verdict)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def html(verdict: "Verdict") -> str:
    """For a notebook: the measures as a table, the verdict above it."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows(verdict).items()
    )
    table = f"<table>{cells}</table>"
    if verdict.groups is not None:
        head, *body = group_table(verdict.groups)
        lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
        lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body]
        table += f"<table>{''.join(lines)}</table>"
    return f"<div><b>{escape(verdict.explained)}</b>{table}</div>"


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _piped(table: list[list[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

    return [line(table[0]), line("---" for _ in table[0]), *map(line, table[1:])]
