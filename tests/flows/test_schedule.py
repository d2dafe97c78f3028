"""The schedule alone: each stage once, after what it needs, within the limits, whatever the order of the ends."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.errors import UserError
from flows import here
from flows.dag import Stage
from flows.schedule import Schedule


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Stage]:
    """Acyclic: a stage needs some of those before it."""
    stages: dict[str, Stage] = {}
    for number in range(draw(st.integers(1, 12))):
        upstream = draw(st.sets(st.sampled_from(sorted(stages)), max_size=3)) if stages else set()
        stages[f"s{number}"] = Stage(f"s{number}", frozenset(upstream), draw(st.booleans()))
    return stages


@given(graphs(), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.data())
def test_every_stage_once_in_order_and_within_the_limits(
    stages: dict[str, Stage], workers: int, gpus: int, elsewhere: bool, data: st.DataObject
) -> None:
    schedule = Schedule(stages, workers=workers, devices=[str(gpu) for gpu in range(gpus)], elsewhere=elsewhere)
    broken = data.draw(st.sets(st.sampled_from(sorted(stages)), max_size=2))
    fresh = data.draw(st.sets(st.sampled_from(sorted(stages)), max_size=3)) - broken
    running: dict[str, list[str]] = {}
    done: set[str] = set()
    failed: set[str] = set()
    skipped: set[str] = set()
    while schedule:
        for name in schedule.ready():
            assert name not in done | failed | skipped | set(running)
            assert stages[name].upstream <= done
            if name in fresh:
                schedule.settle(name)
                done.add(name)
            elif (held := schedule.start(name)) is not None:
                running[name] = held
        here = [name for name in running if not (elsewhere and stages[name].gpu)]
        assert len(here) <= workers
        held_gpus = [gpu for held in running.values() for gpu in held]
        assert len(held_gpus) == len(set(held_gpus))  # one stage a GPU
        for name in here:
            assert len(running[name]) == (1 if stages[name].gpu else 0)
        if running:
            ended = data.draw(st.sampled_from(sorted(running)))
            del running[ended]
            if ended in broken:
                failed.add(ended)
                skipped |= set(schedule.fail(ended))
            else:
                done.add(ended)
                schedule.finish(ended)
    assert done | failed | skipped == set(stages)
    for name in skipped:
        assert stages[name].upstream & (failed | skipped)


def test_a_stage_of_several_processes_takes_several_gpus() -> None:
    stages = {name: Stage(name, frozenset(), True) for name in "abc"}
    schedule = Schedule(stages, workers=3, devices=["0", "1", "2", "3", "4"], per_stage=2)
    assert [schedule.start(name) for name in "abc"] == [["0", "1"], ["2", "3"], None]
    schedule.finish("a")
    assert schedule.start("c") == ["4", "0"]


def test_devices_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert here.devices(None) == (["cpu"], 1)
    assert here.devices(2) == (["cpu", "cpu"], 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert here.devices(None) == (["4", "6", "7"], 1)
    assert here.devices(2) == (["4", "6"], 1)
    with pytest.raises(UserError, match="--gpus 4: this machine has 3"):
        here.devices(4)
    Path("params.yaml").write_text("processes: 2\n")
    assert here.devices(None) == (["4", "6", "7"], 2)
    Path("params.yaml").write_text("processes: 4\n")
    with pytest.raises(UserError, match=r"params.yaml: processes: 4, but this machine has 3 GPUs"):
        here.devices(None)
