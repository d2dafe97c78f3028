"""The estimate of GPU-hours: against the throughputs that the paper's authors logged on a V100."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tasks.multiply_adds import Shape, measured_rate
from tasks.params import Params, load
from tasks.plan import V100, Cost, Plan, figures, forward, training

PROFILES = Path(__file__).parents[2] / "profiles"
BERT_BASE, S_6L, S_4L = Shape(12, 768, 3072, 12), Shape(6, 768, 3072, 12), Shape(4, 312, 1200, 12)


def test_multiply_adds_of_a_layer_by_hand() -> None:
    # One token, one layer, H = 2, F = 3: four 2x2 products (16), two of 2x3 (12), attention to one token (4).
    assert Shape(1, 2, 3, 1).forward(1) == 16 + 12 + 4
    assert Shape(1, 2, 3, 1).training(1) == 3 * 32


@pytest.mark.parametrize(("student", "logged"), [(S_6L, 196), (S_6L, 218), (S_4L, 376), (S_4L, 370)])
def test_logged_throughputs_are_met(student: Shape, logged: float) -> None:
    an_example = BERT_BASE.forward(128) + student.training(128)
    assert V100 / an_example == pytest.approx(logged, rel=0.15)


def test_each_encoder_has_a_rate_of_its_own() -> None:
    wide, narrow = Shape(2, 8, 16, 2), Shape(1, 4, 8, 1)
    cost = Cost("distill_intermediate@a-b", 10, forward(10, wide, 5) + training(10, narrow, 5))
    rates = {wide: wide.forward(5) / 6, narrow: narrow.forward(5) / 18}  # forward passes of 6 s and 18 s
    assert cost.minutes(lambda shape, tokens: rates[shape]) == pytest.approx(10 * 6 / 60 + 10 * 3 * 18 / 60)


def test_the_rate_of_this_machine_is_that_of_a_layer() -> None:
    rate = measured_rate(Shape(2, 64, 128, 4), 8)
    assert 1e6 < rate < 1e15
    assert measured_rate(Shape(6, 64, 128, 4), 8) == rate


def test_paper_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # nothing is fetched yet
    costs = {cost.stage: cost for cost in Plan(load(PROFILES / "paper.yaml")).costs}
    rte = costs["distill_intermediate@RTE-S_6L"]
    assert rte.examples == 2490 * 61 * 3  # thirty variants of each of two sentences
    assert rte.hours * 60 == pytest.approx(37 * 151_890 / 144_076, rel=0.1)  # the authors: 37 min for 144,076 rows
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
    assert 0 < sum(cost.hours for cost in Plan(params).costs) < 0.2


def test_variants_transfer_text_and_other_seeds_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.csv").write_text("body\n" + "fine\n" * 70)
    content = YAML(typ="safe").load(PROFILES / "quickstart-restored.yaml")
    content["seeds"] = [1, 2]
    content["sources"]["more"] = {"kind": "path", "path": "more.csv", "sha256": "0" * 64}
    transfer = {"format": "table", "source": "more", "file": "more.csv", "text": "body", "text_pair": None}
    content["tasks"]["movies"]["transfer"] = transfer
    made = Plan(Params.model_validate(content))
    assert "products has 10,000 rows of transfer text" in made.assumed
    costs = {cost.stage: cost for cost in made.costs}
    assert costs["predict_teacher@movies"].examples == 3000 * 11 + 70 + 1000  # ten variants of each, and dev
    assert costs["distill_intermediate@movies-S_3L"].examples == 3000 * 2 + 70  # of which an epoch has one
    stage_2 = costs["distill_prediction@movies-S_3L"]
    assert stage_2.examples == 6 * (3000 * 2 + 70)
    both = stage_2.work + costs["distill_intermediate@movies-S_3L"].work
    assert costs["repeat@movies-S_3L-2"].work == pytest.approx(both)
    assert costs["reseed_teacher@movies-7"].work == costs["finetune_teacher@movies"].work
    listed = YAML(typ="safe").load(PROFILES.parent / "dvc.yaml")["stages"]
    for_gpu = {name for name, stage in listed.items() if (stage.get("do") or stage).get("meta") == {"device": "gpu"}}
    assert {stage.partition("@")[0] for stage in costs} == for_gpu - {"augment"}  # which has no masked LM


def test_what_is_not_known_before_it_is_fetched_is_assumed_and_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = YAML(typ="safe").load(PROFILES / "quickstart.yaml")
    content["tasks"]["movies"]["data"]["train"] = None
    content["sources"]["minilm"]["name"] = "another-model"
    content["general"]["sequences"] = None
    made = Plan(Params.model_validate(content))
    assert list(dict.fromkeys(made.assumed)) == [
        "minilm is of the size of BERT-base",
        "movies has 10,000 rows",
        "vader has 10,000,000 words",
    ]


def test_rows_of_a_table_on_this_machine_are_counted(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("body,stars\n" + "fine,good\n" * 80 + "awful,bad\n" * 20)
    content = YAML(typ="safe").load(PROFILES / "quickstart.yaml")
    content["sources"]["mine"] = {"kind": "path", "path": "mine.csv", "sha256": "0" * 64}
    data = {"format": "table", "source": "mine", "train": "mine.csv", "dev": {"share": 0.2, "seed": 1}}
    task = content["tasks"]["movies"] | {"data": data | {"text": "body", "text_pair": None, "label": "stars"}}
    pairs = {name: pair for name, pair in content["pairs"].items() if name.startswith("movies")}
    content |= {"tasks": {"movies": task}, "augment": {"movies": None}, "pairs": pairs}
    costs = {cost.stage: cost for cost in Plan(Params.model_validate(content)).costs}
    assert costs["finetune_teacher@movies"].examples == 80 * 2
    assert costs["evaluate@movies-S_3L"].examples == 100


@pytest.mark.parametrize(
    ("value", "text"), [(0.0006591, "0.000659"), (1.0, "1.00"), (12.34, "12.3"), (123456.7, "123,457"), (0, "0.00")]
)
def test_small_figures_keep_their_digits(value: float, text: str) -> None:
    assert figures(value) == text
