"""Each bench at a size of seconds: it runs, and what it writes is whole. Its figures are for people."""

import json
import math
from importlib import import_module

import pytest

from bench import flow_overhead, prediction, rates, table
from bench.peers.padding import Padded
from bench.results import FOLDER, Report

ARGUMENTS = {
    "augment": ["--rows", "10", "--slow-rows", "2", "--rounds", "1", "--mlm", "models/mlm", "--variants", "2"],
    "check": ["--rows", "300", "--rounds", "1"],
    "distillation": ["--student", "S_2L", "--rows", "40", "--padded-rows", "32", "--rounds", "1"],
    "flow_overhead": ["--tasks", "1", "--students", "1"],
    "growth": ["--rows", "20", "--rows", "60", "--stage", "check"],
    "peak": ["--student", "S_2L", "--length", "8", "--batch", "4", "--steps", "2"],
    "prediction": ["--rows", "8", "--rounds", "1"],
    "startup": ["--stage", "report", "--rounds", "1"],
    "training": ["--student", "S_2L", "--batch", "4", "--length", "8", "--steps", "2"],
}
EXPECTED = {  # a row that must be there: what, beside
    "augment": ("toy", "one word at a time"),
    "check": ("300 rows, parquet", "pandas reading both"),
    "distillation": ("toy, S_2L, both stages", "the reference's way"),
    "flow_overhead": ("again, nothing to do", "dvc repro"),
    "growth": ("check: memory", "rows (slope)"),
    "peak": ("S_2L, stage 2, 8 tokens", "the largest matrix multiply"),
    "prediction": ("student/toy/S_2L, toy", "transformers' pipeline"),
    "startup": ("report, forked", "importing torch alone"),
    "training": ("S_2L, stage 2, batch 4", ""),
}


@pytest.mark.parametrize("bench", ARGUMENTS)
def test_what_a_bench_writes(bench, clone, monkeypatch, capsys):
    monkeypatch.setattr(rates, "LEAST", 0.01)
    monkeypatch.setattr(flow_overhead, "WAYS", dict.fromkeys(["dvc repro", "again"], ("dvc", "repro")))
    import_module(f"bench.{bench}").main(ARGUMENTS[bench])
    content = json.loads((FOLDER / f"{bench}.json").read_text())
    assert content["bench"] == bench
    settings = content["settings"]
    assert settings["processor"] and settings["cores"] >= 1 and settings["threads"] >= 1 and settings["torch"]
    assert settings.keys() >= {"dtype", "seed"}
    assert EXPECTED[bench] in {(row["what"], row["beside"]) for row in content["rows"]}
    for row in content["rows"]:
        assert all(math.isfinite(row[name]) for name in ("value", "other", "ratio") if row[name] is not None), row
    if bench == "growth":
        assert (FOLDER / "growth.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(f"| {row['what']} | " in printed for row in content["rows"])


def test_one_table_of_all_ratios(clone, capsys):
    one, other = Report("one", dtype="fp32", seed=3), Report("other", dtype="fp32", seed=4, rows=7)
    one.figure("alone", 5, "s")
    one.beside("faster", [10, 30, 80], "rows/s", "a peer", [5, 10, 20])
    other.number("time", "rows (slope)", 0.987)
    for report in (one, other):
        report.write()
    table.main()
    text = (FOLDER / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows == [
        "| bench | what | | | beside | | × |",
        "| one | faster | 30 | rows/s | a peer | 10 | 3.00 |",
        "| other | time |  |  | rows (slope) |  | 0.99 |",
    ]
    assert "seed 4, rows 7" in text


@pytest.mark.parametrize("bench", ["augment", "distillation", "prediction"])
def test_without_a_run_one_line_says_what_to_do(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        import_module(f"bench.{bench}").main([])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1
    assert "make demo" in error


def test_prediction_refuses_a_contender_that_computes_something_else(clone, monkeypatch, capsys):
    own = Padded.logits
    monkeypatch.setattr(Padded, "logits", lambda self, rows: own(self, rows) + 1)
    with pytest.raises(SystemExit):
        prediction.main(ARGUMENTS["prediction"])
    assert "other logits" in capsys.readouterr().err
