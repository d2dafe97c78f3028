"""What is deployed, judged against student and teacher, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from confidistill.confidence.measures import measure
from confidistill.confidence.predictions import from_logits
from confidistill.report.page import page
from confidistill.report.pair import Variant
from confidistill.report.variants import display_variants, renderings, terminal_variants, variant_table
from tests.report.examples import synthetic_pair

COSTS = {
    "teacher": {"bytes": 4_000_000, "p50_ms": 8.0, "p99_ms": 10.0, "texts_per_second": 100.0},
    "student": {"bytes": 2_000_000, "p50_ms": 4.0, "p99_ms": 5.0, "texts_per_second": 200.0},
    "deployed": {"bytes": 500_000, "p50_ms": 2.0, "p99_ms": 2.0, "texts_per_second": 350.0},
}


def exported(protocol="definition", noise=0.3, **options):
    """A pair whose student was exported with rounding errors of its logits."""
    pair = synthetic_pair(protocol=protocol, **options)
    random = np.random.default_rng(1)
    predictions, measures = {}, {}
    for split, (teacher, student) in pair.predictions.items():
        logits = student.log_odds + random.normal(0, noise, student.log_odds.shape)
        predictions[split] = from_logits(logits, student.labels)
        measures[split] = measure(teacher, predictions[split], resamples=50)
    return replace(pair, variants=[Variant("onnx-int8", predictions, measures, COSTS)])


def sigma_by_hand(first, second):
    """The RMS over rows of what both give the first's class."""
    squares = []
    for ours, theirs in zip(first.probabilities, second.probabilities, strict=True):
        chosen = int(np.argmax(ours))
        squares.append((ours[chosen] - theirs[chosen]) ** 2)
    return (sum(squares) / len(squares)) ** 0.5


def test_sigma_against_student_and_teacher_by_hand():
    pair = exported()
    table = variant_table([pair]).set_index(["variant", "split"])
    assert list(table.index) == [("pytorch", "Tr"), ("pytorch", "dev"), ("onnx-int8", "Tr"), ("onnx-int8", "dev")]
    for split, name in (("train", "Tr"), ("dev", "dev")):
        (teacher, student), int8 = pair.predictions[split], pair.variants[0].predictions[split]
        row, trained = table.loc["onnx-int8", name], table.loc["pytorch", name]
        assert row["sigma_student"] == pytest.approx(sigma_by_hand(student, int8), abs=1e-12)
        assert row["sigma_teacher"] == pytest.approx(sigma_by_hand(teacher, int8), abs=1e-12)
        assert trained["sigma_student"] == 0
        assert trained["sigma_teacher"] == pytest.approx(sigma_by_hand(teacher, student), abs=1e-12)
        right = int8.probabilities.argmax(1) == int8.labels
        assert row["accuracy"] == pytest.approx(right.mean())


def test_by_the_released_protocol():
    """Rows both get right, and the standard deviation of the first class's difference."""
    pair = exported("released")
    student, int8 = pair.predictions["train"][1], pair.variants[0].predictions["train"]
    both = (student.probabilities.argmax(1) == student.labels) & (int8.probabilities.argmax(1) == student.labels)
    difference = (student.probabilities - int8.probabilities)[both, 0]
    row = variant_table([pair]).iloc[2]
    assert row["sigma_student"] == pytest.approx(difference.std(), rel=1e-2)  # whatever the degrees of freedom
    assert row["sigma_teacher"] == pair.variants[0].measures["train"]["sigma_released"]


def test_costs_are_ratios_to_the_teachers():
    table = variant_table([exported()]).set_index(["variant", "split"])
    names = [f"{name}_ratio" for name in ("bytes", "p50_ms", "p99_ms", "texts_per_second")]
    assert table.loc[("pytorch", "Tr"), names].tolist() == [0.5, 0.5, 0.5, 2.0]
    assert table.loc[("onnx-int8", "Tr"), names].tolist() == [0.125, 0.25, 0.2, 3.5]


def test_a_teacher_that_is_a_table_has_no_costs():
    pair = exported()
    known = {name: cost for name, cost in COSTS.items() if name != "teacher"}
    pair = replace(pair, variants=[replace(pair.variants[0], costs=known)])
    assert display_variants([pair])["p50/T"].tolist() == ["–", "", "–", ""]
    assert variant_table([pair])["p50_ms"].tolist() == [4.0, 4.0, 2.0, 2.0]


def test_the_verdict_is_on_the_chain():
    """A student near its teacher, and so rough a rounding that what is deployed is not."""
    shown = display_variants([exported(noise=2.0, **{"kappa": 0.15})])
    assert shown["verdict"].tolist() == ["holds", "(holds)", "holds → fails", "(holds → fails)"]
    assert shown["deployed"].tolist() == ["pytorch", "pytorch", "onnx-int8", "onnx-int8"]
    assert shown["size/T"].tolist() == ["0.50", "", "0.12", ""]
    assert shown["σ(S, ·)"].tolist()[:2] == ["–", "–"]


def test_every_form_of_the_table():
    pair = exported()
    files = renderings([pair])
    assert len(files["variants.csv"].splitlines()) == 5
    assert "| onnx-int8 |" in files["variants.md"] and r"$\sigma$(S, " in files["variants.tex"]
    assert "onnx-int8" in terminal_variants([pair])
    assert max(map(len, terminal_variants([pair]).splitlines()[:5])) <= 120
    assert "As deployed" in page([pair], {}, {})


def test_where_nothing_is_exported_there_is_no_table():
    pair = synthetic_pair()
    assert variant_table([pair]).empty and terminal_variants([pair]) == ""
    assert "As deployed" not in page([pair], {}, {})
    assert "nothing is exported" in renderings([pair])["variants.md"]
