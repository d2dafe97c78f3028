"""What is tried, and how it stands in params.yaml."""

import difflib
from pathlib import Path

import optuna
import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from flows.search.command import confirmation_seeds
from flows.search.settings import difference, with_overrides
from flows.search.space import PRESETS, overrides, shown, space_of, suggest
from tasks.params import load

ROOT = Path(__file__).parents[3]
PROFILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]
SETTINGS = {
    "prediction.epochs": 8,
    "prediction.learning_rate": 2.12e-4,
    "prediction.dropout": None,
    "prediction.loss": "kl+sigma",
}


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line.startswith(("+ ", "- "))]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_only_the_pairs_entry_changes(path, tmp_path):
    before = path.read_text()
    read = YAML(typ="safe").load(before)
    plain = [pair for pair, entry in read["pairs"].items() if not entry["prediction"]]
    for pair in (plain[0], plain[-1]):
        after = with_overrides(before, pair, overrides(SETTINGS))
        (tmp_path / "params.yaml").write_text(after)
        prediction = load(tmp_path / "params.yaml").pairs[pair].prediction
        loss = [{"name": "kl", "weight": 1.0}, {"name": "sigma", "weight": 1.0}]
        assert prediction == {"epochs": 8, "learning_rate": 2.12e-4, "dropout": None, "loss": loss}
        assert [line[0] for line in changed_lines(before, after)] == ["-", "+"]
        assert all(f" {pair}:" in line for line in changed_lines(before, after))
        assert difference(before, after).count("\n@@") == 1


def test_a_file_of_another_style_keeps_it_and_its_comments():
    before = (
        "first:   {a: 1,\n   b: 2}  # odd\npairs:   # all\n    x-y:  # mine\n        intermediate: {}\n"
        "        prediction: {epochs: 2, keep: metric}  # old\n    x-z: {intermediate: {}, prediction: {}}\n"
        "last: [1,\n 2]\n"
    )
    after = with_overrides(before, "x-z", {"prediction": {"epochs": 3}})
    assert after == before.replace(
        "x-z: {intermediate: {}, prediction: {}}", "x-z: {intermediate: {}, prediction: {epochs: 3}}"
    )
    after = with_overrides(before, "x-y", {"prediction": {"epochs": 3}})
    assert YAML(typ="safe").load(after)["pairs"]["x-y"]["prediction"] == {"epochs": 3, "keep": "metric"}
    assert "# mine" in after and "# old" in after and "# all" in after


def test_untuned_changes_nothing():
    text = PROFILES[0].read_text()
    assert with_overrides(text, next(iter(YAML(typ="safe").load(text)["pairs"])), overrides({})) == text


@pytest.mark.parametrize("preset", PRESETS)
def test_every_setting_of_a_preset_is_one_that_params_yaml_takes(preset, tmp_path):
    text = PROFILES[0].read_text()
    for number in range(10):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
        settings = suggest(study.ask(), space_of(preset))
        (tmp_path / "params.yaml").write_text(with_overrides(text, "products-S_2L", overrides(settings)))
        params = load(tmp_path / "params.yaml")
        stages = {"intermediate": params.intermediate_of, "prediction": params.prediction_of}
        for key, value in settings.items():
            section, _, name = key.partition(".")
            taken = getattr(stages[section]("products", "S_2L"), name)
            assert taken == value or [term.name for term in taken] == value.split("+")


def test_the_papers_grid_and_the_one_without_stage_1():
    paper = {key: span.values for key, span in space_of("paper").items()}
    sizes = [3, 6, 3, 3, 5, 7, 6, 6]  # section 6 of the paper: how many of each it explored
    assert [len(values) for values in paper.values()] == sizes
    rates = [(min(v), max(v)) for key, v in paper.items() if key.endswith("learning_rate")]
    assert rates == [(5e-7, 5e-3), (5e-7, 8e-4)]
    assert not [key for key in space_of("patience") if key.startswith("intermediate.")]
    assert [key for key in space_of("full") if key.startswith("intermediate.")]
    with pytest.raises(UserError, match="unknown preset 'grid': there are patience, paper, full"):
        space_of("grid")


def test_settings_in_one_line():
    assert shown(SETTINGS) == "epochs 8, learning_rate 0.000212, dropout null, loss kl+sigma"
    assert shown({}) == "as params.yaml has it"


def test_seeds_that_confirm_are_fresh():
    assert confirmation_seeds(None, frozenset({2, 42})) == [1, 3, 4]
    assert confirmation_seeds("7, 8,9", frozenset({42})) == [7, 8, 9]
    assert confirmation_seeds("", frozenset({42})) == []
    for given, message in {
        "7,8": "3 different ones",
        "7,7,8": "3 different",
        "42,7,8": "42 is a seed",
        "a": "whole",
    }.items():
        with pytest.raises(UserError, match=message):
            confirmation_seeds(given, frozenset({42}))
