"""What the benches share."""

import numpy as np
import pytest
from ruamel.yaml import YAML

from bench import flow_overhead, synthetic
from bench.grown import STAGES
from bench.growth import slope
from bench.processes import measured, own_peak_mib
from bench.rates import flops
from bench.shapes import STUDENTS, Shape
from bench.timing import in_turn
from confidistill.errors import UserError
from tasks.params import load
from tasks.preflight import preflight


def test_rounds_go_back_and_forth():
    calls = []
    found = in_turn({name: lambda name=name: calls.append(name) or len(calls) for name in "abc"}, rounds=3)
    assert "".join(calls) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_a_process_s_peak_is_its_own_whatever_its_parent_holds():
    held = np.ones(300 * 2**20, np.uint8)
    assert held.sum() and own_peak_mib() > 300
    small, large = measured("-c", "pass"), measured("-c", "x = bytearray(b'1') * (200 * 2**20); print('done')")
    assert small.peak_mib < 100 < 200 < large.peak_mib < 300
    assert (large.code, large.output) == (0, "done")


def test_a_process_that_fails_is_one_line():
    assert measured("-c", "raise SystemExit(1)", codes=(0, 1)).code == 1
    with pytest.raises(UserError, match=r"exit status 1: ValueError: 5$"):
        measured("-c", "raise ValueError(5)")


def test_slope_of_a_power():
    assert slope([10, 100, 1000], [3 * 10**0.5, 3 * 100**0.5, 3 * 1000**0.5]) == pytest.approx(0.5)


def test_flops_of_a_step_by_hand(monkeypatch):
    """Stage 2, one layer of width 12 and inner width 16: 3 x the forward pass, 2 FLOPs a multiply-add."""
    monkeypatch.setitem(STUDENTS, "S_2L", (Shape(2, 24, 32), Shape(1, 12, 16)))
    batch, length = 4, 8
    linear = batch * length * (4 * 12 * 12 + 2 * 12 * 16)
    attention = batch * 2 * length * length * 12  # QK and PV, all heads together
    head = batch * (12 * 12 + 12 * 2)  # pooler and classes
    assert flops("S_2L", 2, batch=batch, length=length) == 3 * 2 * (linear + attention + head)


def test_synthetic_text_has_glue_s_lengths():
    rows = synthetic.table(4000, seed=1)
    lengths = rows["text"].str.split().str.len()
    assert np.log(lengths).mean() == pytest.approx(synthetic.WORDS, abs=0.06)
    assert np.log(lengths).std() == pytest.approx(synthetic.SPREAD, abs=0.06)
    assert set(" ".join(rows["text"][:200]).split()) <= set(synthetic.vocabulary())
    assert len(set(synthetic.vocabulary())) == synthetic.VOCABULARY


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_growth_does_its_work(stage, assets, tmp_path):
    synthetic.table(40, seed=0).to_parquet(tmp_path / "table.parquet", index=False)
    work = STAGES[stage](assets, tmp_path / "table.parquet", tmp_path / "output")
    found = work()
    if stage.startswith("augment"):
        assert found > 60  # a variant for nearly each row
    elif stage.startswith("stage"):
        assert (tmp_path / "output/model.safetensors").is_file()
    else:
        assert found


def test_the_flows_accept_the_params_of_the_toy(tmp_path, monkeypatch):
    """They check params.yaml before a stage starts."""
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(flow_overhead.params(2, 3), file)
    monkeypatch.chdir(tmp_path)
    params = load()
    assert (set(params.tasks), set(params.students)) == ({"t0", "t1"}, {"s0", "s1", "s2"})
    preflight(params)
