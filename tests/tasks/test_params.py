"""params.yaml: every profile is valid, and every mistake is one line that names the file and the key."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from tasks.params import load
from tasks.sections import FeatureTerm, PredictionTerm

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))


@pytest.fixture
def content():
    return YAML(typ="safe").load(ROOT / "profiles" / "quickstart.yaml")


def write(folder: Path, content: dict) -> Path:
    path = folder / "params.yaml"
    YAML(typ="safe").dump(content, path)
    return path


def set_key(content: dict, key: str, value) -> None:
    *parents, last = key.split("/")
    for parent in parents:
        content = content[parent]
    content[last] = value


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_profile_is_valid_and_carries_its_name(profile):
    assert load(profile).profile == profile.stem


def test_the_committed_params_are_the_quickstart():
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "profiles" / "quickstart.yaml").read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("teacher/epoch", 3, "teacher.epoch: unknown key"),
        ("teacher/epochs", "three", "teacher.epochs: Input should be a valid integer, not 'three'"),
        ("teacher/epochs", 10**30, "teacher.epochs: Input should be less than 2147483648"),
        ("teacher/seed", 2**33, "teacher.seed: Input should be less than 4294967296"),
        ("tasks/movies/data/seed", 2**33, "tasks.movies.data.seed: Input should be less than 4294967296"),
        ("teacher/learning_rate", float("inf"), "teacher.learning_rate: Input should be a finite number"),
        ("prediction/temperature", float("nan"), "prediction.temperature: Input should be a finite number"),
        ("teacher/epochs", 0, "teacher.epochs: Input should be greater than 0, not 0"),
        ("teacher/precision", "fp8", "teacher.precision: Input should be 'auto', 'fp32', 'bf16' or 'fp16', not 'fp8'"),
        ("property/kappa", 0, "property.kappa: Input should be greater than 0, not 0"),
        ("property/kappa", -0.1, "property.kappa: Input should be greater than 0, not -0.1"),
        ("property/protocol", "strict", "property.protocol: Input should be 'definition' or 'released'"),
        ("tasks/movies/data/min_rating", 1, "tasks.movies.data.min_rating: unknown key"),
        ("tasks/movies/data/source", "nowhere", "tasks.movies.data.source: no source is called 'nowhere'"),
        (
            "pairs/movies-S_9L",
            {"intermediate": {}, "prediction": {}},
            "pairs.movies-S_9L: there is none: known are",
        ),
        ("pairs/movies-S_3L/prediction", {"epoch": 3}, "epoch: unknown key"),
        ("students/S_2L/intermediate/weights", {}, "weights: unknown key"),
        ("selection", {"share": 1.0, "seed": 0}, "selection.share: Input should be less than 1, not 1.0"),
        ("selection", None, "selection: Value error, must be dev, or {share, seed}, not None"),
        ("seeds", [1, 2, 1], "seeds: one is named twice"),
        ("export", ["onnx", "onnx"], "export: one is named twice"),
        ("export", ["int4"], "export.0: Input should be 'onnx' or 'onnx-int8', not 'int4'"),
        ("export", "onnx", "export: Input should be a valid list, not 'onnx'"),
        ("intermediate/loss", [{"name": "attention"}, {"name": "attention"}], "'attention' is named twice"),
        ("prediction/loss", [{"name": "kl", "weight": 0}], "weight: Input should be greater than 0, not 0"),
        ("prediction/loss", [], "prediction.loss: List should have at least 1 item"),
        ("tasks/movies/teacher", {"learning_rate": "fast"}, "learning_rate: Input should be a valid number"),
        ("tasks/movies/prediction", {"loss": "hinge"}, "loss.0.name: Input should be 'soft_ce', 'kl'"),
        ("tasks", {}, "tasks: Dictionary should have at least 1 item"),
        (
            "augment/books",
            {"variants": 1, "candidates": 1, "probability": 0.5, "seed": 0},
            "augment.books: there is none: known are movies, products",
        ),
        (
            "students/S_3L/attention_heads",
            7,
            "students.S_3L.hidden_size: 384 is not a multiple of attention_heads, 7",
        ),
        ("students/S_3L/initialisation", "checkpoint", "students.S_3L.checkpoint: name a source"),
        ("sources/minilm/sha256", "abc", "sources.minilm"),
        ("models/base", None, "models.base: Input should be a valid string"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, content, key, value, message):
    set_key(content, key, value)
    path = write(tmp_path, content)
    with pytest.raises(UserError) as raised:
        load(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["teacher", "property/kappa", "tasks/movies/max_length", "students/S_2L/layers"])
def test_a_missing_key_is_named(tmp_path, content, key):
    *parents, last = key.split("/")
    inner = content
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    with pytest.raises(UserError, match=f"{key.replace('/', '.')}: missing key: add it"):
        load(write(tmp_path, content))


def test_scientific_notation_is_read_as_dvc_reads_it(tmp_path):
    text = (ROOT / "profiles" / "quickstart.yaml").read_text()
    assert "learning_rate: 5.0e-5" in text
    (tmp_path / "params.yaml").write_text(text.replace("learning_rate: 5.0e-5", "learning_rate: 5e-5"))
    assert load(tmp_path / "params.yaml").teacher.learning_rate == 5e-5


def test_a_pair_changes_what_its_task_and_its_student_say(tmp_path, content):
    content["students"]["S_3L"]["prediction"] = {"epochs": 5, "batch_size": 8}
    content["tasks"]["movies"]["prediction"] = {"weight_decay": 0.5}
    content["pairs"]["movies-S_3L"]["prediction"] = {"epochs": 9}
    params = load(write(tmp_path, content))
    of_pair = params.prediction_of("movies", "S_3L")
    assert (of_pair.epochs, of_pair.batch_size, of_pair.weight_decay) == (9, 8, 0.5)
    assert params.prediction_of("products", "S_3L").epochs == 5
    assert params.prediction_of("products", "S_2L").batch_size == 32


def test_a_value_in_two_places_is_refused_unless_the_pair_says_which(tmp_path, content):
    content["students"]["S_3L"]["prediction"] = {"epochs": 5}
    content["tasks"]["movies"]["prediction"] = {"epochs": 7}
    content["students"]["S_2L"]["prediction"] = {}
    with pytest.raises(UserError, match=r"prediction.epochs is in two places, tasks.movies and students.S_3L: remove"):
        load(write(tmp_path, content))
    content["pairs"]["movies-S_3L"]["prediction"] = {"epochs": 6}
    assert load(write(tmp_path, content)).prediction_of("movies", "S_3L").epochs == 6


@pytest.mark.parametrize("key", ["pairs", "augment"])
def test_what_every_pair_or_task_needs_is_named_with_the_line_to_add(tmp_path, content, key):
    name, *_ = content[key]
    del content[key][name]
    with pytest.raises(UserError, match=rf"{key}: '{name}' is missing: add `{name}: "):
        load(write(tmp_path, content))


def test_the_names_of_losses_are_the_librarys():
    from confidistill.distillation.terms import FEATURES, PREDICTION

    assert get_args(FeatureTerm.model_fields["name"].annotation) == FEATURES
    assert set(get_args(PredictionTerm.model_fields["name"].annotation)) == set(PREDICTION)


def test_a_loss_by_its_name_alone_is_that_term(tmp_path, content):
    content["prediction"]["loss"] = "logit_mse"
    (term,) = load(write(tmp_path, content)).prediction.loss
    assert (term.name, term.weight) == ("logit_mse", 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tasks.download_data", "books"], "unknown task 'books': it lists products, movies"),
        (["tasks.download_data"], "usage: python -m tasks.download_data TASK"),
        (["tasks.general_distill", "S_9L"], "unknown student 'S_9L': it lists S_3L, S_2L"),
        (["tasks.evaluate", "movies"], "usage: python -m tasks.evaluate TASK STUDENT"),
    ],
)
def test_a_stage_told_the_wrong_name_says_so_in_one_line(arguments, message):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_not_yaml_is_named_with_its_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: a\ntasks: [1\n")
    with pytest.raises(UserError, match=r"params.yaml: not YAML at line"):
        load(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no such file: run in the project's root"):
        load(tmp_path / "params.yaml")
