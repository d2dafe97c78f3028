"""The schedule alone: each stage once, after what it needs, within the limits, whatever the order of the ends."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.errors import UserError
from tasks.dag import Stage, longest_first
from tasks.places import devices, share_cores
from tasks.schedule import Schedule


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


def test_the_longest_chain_first() -> None:
    needs = {
        "corpus": "",
        "general": "corpus",
        "data": "",
        "teacher": "data",
        "logits": "teacher",
        "student": "general logits",
    }
    stages = {name: Stage(name, frozenset(upstream.split()), False) for name, upstream in needs.items()}
    assert list(longest_first(stages)) == ["data", "corpus", "teacher", "general", "logits", "student"]
    assert longest_first(stages) == stages


@given(graphs())
def test_nothing_comes_before_what_it_needs(stages: dict[str, Stage]) -> None:
    place = {name: number for number, name in enumerate(longest_first(stages))}
    assert all(place[needed] < place[name] for name, stage in stages.items() for needed in stage.upstream)


def test_devices_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(None, 1) == (["cpu"], 1)
    assert devices(2, 1) == (["cpu", "cpu"], 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert devices(None, 1) == (["4", "6", "7"], 1)
    assert devices(2, 1) == (["4", "6"], 1)
    with pytest.raises(UserError, match="--gpus 4: this machine has 3"):
        devices(4, 1)
    assert devices(None, 2) == (["4", "6", "7"], 2)
    with pytest.raises(UserError, match=r"params.yaml: processes: 4, but this machine has 3 GPUs"):
        devices(None, 4)


@pytest.mark.parametrize(
    ("side_by_side", "own", "told"), [(1, None, None), (2, None, "4"), (3, None, "2"), (9, None, "1"), (2, "7", "7")]
)
def test_stages_side_by_side_share_the_cores(
    side_by_side: int, own: str | None, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "environ", {} if own is None else {"OMP_NUM_THREADS": own})
    share_cores(side_by_side)
    assert os.environ.get("OMP_NUM_THREADS") == told
