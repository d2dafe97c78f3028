"""The estimate of GPU-hours: against the throughputs that the paper's authors logged on a V100."""

from pathlib import Path

import pytest

from tasks.params import load
from tasks.plan import V100, Shape, plan

PROFILES = Path(__file__).parents[2] / "profiles"
BERT_BASE, S_6L, S_4L = Shape(12, 768, 3072), Shape(6, 768, 3072), Shape(4, 312, 1200)


def test_multiply_adds_of_a_layer_by_hand() -> None:
    # One token, one layer, H = 2, F = 3: four 2x2 products (16), two of 2x3 (12), attention to one token (4).
    assert Shape(1, 2, 3).forward(1) == 16 + 12 + 4
    assert Shape(1, 2, 3).training(1) == 3 * 32


@pytest.mark.parametrize(("student", "logged"), [(S_6L, 196), (S_6L, 218), (S_4L, 376), (S_4L, 370)])
def test_logged_throughputs_are_met(student: Shape, logged: float) -> None:
    an_example = BERT_BASE.forward(128) + student.training(128)
    assert V100 / an_example == pytest.approx(logged, rel=0.15)


def test_paper_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # nothing is fetched yet
    costs = {cost.stage: cost for cost in plan(load(PROFILES / "paper.yaml"))}
    rte = costs["distill_intermediate@RTE-S_6L"]
    assert rte.examples == 2490 * 62 * 3
    assert rte.hours * 60 == pytest.approx(37 * 154_380 / 144_076, rel=0.1)  # the authors: 37 min for 144,076 rows
    assert costs["finetune_teacher@SST-2"].examples == 3 * 67_349
    assert costs["predict_teacher@QQP"].examples == 363_846 + 40_430
    assert {stage.partition("@")[0] for stage in costs} == {
        "augment",
        "finetune_teacher",
        "predict_teacher",
        "general_distill",
        "distill_intermediate",
        "distill_prediction",
        "evaluate",
    }
    assert len([stage for stage in costs if stage.startswith("distill_prediction")]) == 12


def test_quickstart_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = load(PROFILES / "quickstart.yaml")
    assert 0 < sum(cost.hours for cost in plan(params)) < 0.2
