"""Losses, gradients and measures equal the goldens; the plain formulas behind these equal the reference's own code."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from confidistill.confidence.measures import measure
from confidistill.confidence.predictions import Predictions
from confidistill.distillation import losses
from tests.golden import make, plain
from tests.shared import SHARED, needs

HERE = Path(__file__).parent
LOSSES, MEASURES = (json.loads((HERE / f"{name}.json").read_text()) for name in ("losses", "measures"))


def name(case):
    return "-".join([case["loss"], *(str(value) for value in case["options"].values() if not isinstance(value, list))])


def test_the_goldens_are_what_the_script_makes():
    assert json.loads(json.dumps(make.losses())) == LOSSES
    assert json.loads(json.dumps(make.measures())) == MEASURES


@pytest.mark.parametrize("case", LOSSES, ids=name)
def test_a_loss_and_its_gradient(case):
    student, teacher = (torch.tensor(case[side], dtype=torch.float64) for side in ("student", "teacher"))
    options = {key: torch.tensor(value) if isinstance(value, list) else value for key, value in case["options"].items()}
    loss = getattr(losses, case["loss"])(student.requires_grad_(), teacher, **options)
    loss.backward()
    assert loss.item() == pytest.approx(case["value"], rel=1e-12)
    np.testing.assert_allclose(student.grad, case["gradient"], rtol=1e-12, atol=1e-15)


def test_every_loss_has_a_golden():
    functions = inspect.getmembers(losses, inspect.isfunction)
    ours = {name for name, function in functions if function.__module__ == losses.__name__ and name[0] != "_"}
    assert ours == {case["loss"] for case in LOSSES}


@pytest.mark.parametrize("case", MEASURES, ids=["two classes", "three classes"])
def test_measures(case):
    teacher, student = (Predictions(np.array(case[side]), np.array(case["labels"])) for side in ("teacher", "student"))
    measured = measure(teacher, student, resamples=1)
    for key, value in case["measures"].items():
        assert measured[key] == pytest.approx(value, rel=1e-12), key


@needs("reference")
@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_the_plain_formulas_are_the_reference_s(case):
    stored = json.loads((SHARED / "reference" / f"{case}.json").read_text())
    arrays = np.load(SHARED / "reference" / f"{case}.npz")
    mask = arrays["attention_mask"]
    for ours, theirs in enumerate(stored["layer_map_attention"]):
        pair = arrays[f"student_attention_scores.{ours}"], arrays[f"teacher_attention_scores.{theirs}"]
        assert plain.attention(*pair, mask, "reference") == pytest.approx(stored["attention_losses"][ours], rel=1e-5)
    for ours, theirs in enumerate(stored["layer_map_hidden"]):
        pair = arrays[f"student_hidden_projected.{ours}"], arrays[f"teacher_hidden.{theirs}"]
        assert plain.hidden(*pair, mask, "reference") == pytest.approx(stored["hidden_losses"][ours], rel=1e-5)
    entropy = plain.soft_cross_entropy(arrays["student_logits"], arrays["teacher_logits"])
    assert entropy.real == pytest.approx(stored["soft_ce_per_example"], rel=1e-5)


@needs("published")
def test_the_published_figures_are_those_of_the_released_predictions():
    assert make.published(SHARED / "published") == json.loads((HERE / "published.json").read_text())
