"""The bench of training runs the real loop; its figures are for people, so only their form is tested."""

import pytest

from bench import training


@pytest.mark.parametrize("stage", [1, 2])
def test_one_line_a_measurement(stage, monkeypatch, capsys):
    monkeypatch.setitem(training.STUDENTS, "S_6L", ((2, 24, 32), (1, 12, 16)))
    found = training.report("S_6L", stage, batch=32, length=128, steps=2, precision="fp32")
    assert found is not None and found.examples_per_second > 0 and 0.1 < found.peak_gib < 16
    authors = {1: "196", 2: "215-221"}[stage]
    words = capsys.readouterr().out.split()
    assert words[:3] == ["S_6L", str(stage), "32"] and words[-2:] == ["yes", authors]
