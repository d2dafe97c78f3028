"""The bench of training runs the real loop; its figures are for people, so only their form is tested."""

import pytest

from bench import training
from bench.results import Report
from bench.shapes import STUDENTS, Shape


@pytest.mark.parametrize("stage", [1, 2])
def test_a_row_of_speed_one_of_memory_and_one_of_flops(stage, monkeypatch):
    monkeypatch.setitem(STUDENTS, "S_6L", (Shape(2, 24, 32), Shape(1, 12, 16)))
    report = Report("training", dtype="fp32", seed=0)
    found = training.report(report, "S_6L", stage, batch=32, length=128, steps=2, precision="fp32", peak=2e9)
    speed, memory, rate = report.rows
    assert found is not None and speed.value == found.examples_per_second > 0
    assert (speed.beside, speed.other) == ("the authors' V100", {1: 196, 2: 215}[stage])
    assert speed.ratio == speed.value / speed.other
    assert memory.unit == "GiB" and 0.1 < memory.value < 16
    assert rate.ratio == rate.value / 2 > 0
