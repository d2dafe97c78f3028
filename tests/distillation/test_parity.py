"""Our layer map, score capture, losses and gradients equal what the reference TinyBERT computed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from confidistill.distillation.layers import uniform_layer_map
from tests import parity
from tests.shared import SHARED, needs

CASES = SHARED / "reference"
pytestmark = needs("reference")


@pytest.fixture(scope="module", params=["a", "b", "c"])
def case(request):
    stored = json.loads((CASES / f"{request.param}.json").read_text())
    loaded = parity.load_case(CASES / request.param)
    return stored, loaded, parity.recompute(loaded)


def test_layer_map(case):
    stored, _, _ = case
    layers = uniform_layer_map(stored["teacher"]["layers"], stored["student"]["layers"])
    assert list(layers.attention) == stored["layer_map_attention"]
    assert list(layers.hidden) == stored["layer_map_hidden"]


@pytest.mark.parametrize(
    "key", ["attention_losses", "attention_loss", "hidden_losses", "hidden_loss", "stage1_loss", "soft_ce_per_example"]
)
def test_losses_to_1e_5(case, key):
    stored, _, computed = case
    np.testing.assert_allclose(computed[key], stored[key], rtol=1e-5)


@pytest.mark.parametrize("key", ["stage1_grad_norms", "stage2_grad_norms"])
def test_gradient_norms_to_1e_4(case, key):
    stored, _, computed = case
    assert set(computed[key]) == set(stored[key])
    for name, norm in stored[key].items():
        # An absolute floor for gradients that are zero but for rounding, as a key's bias is under softmax.
        np.testing.assert_allclose(computed[key][name], norm, rtol=1e-4, atol=1e-6, err_msg=name)


def test_scores_hidden_states_and_logits(case):
    _, loaded, _ = case
    real = loaded.inputs["attention_mask"].numpy().astype(bool)
    with torch.no_grad():
        for side, model in (("teacher", loaded.teacher), ("student", loaded.student)):
            found = parity.features(model, loaded.inputs)
            for index, scores in enumerate(found.scores):
                stored = loaded.stored[f"{side}_attention_scores.{index}"]
                keys = np.broadcast_to(real[:, None, None, :], stored.shape)
                np.testing.assert_allclose(scores.numpy()[keys], stored[keys], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(
                parity.reference_logits(model, loaded.inputs), loaded.stored[f"{side}_logits"], rtol=1e-4, atol=1e-4
            )
        for index, hidden in enumerate(parity.features(loaded.teacher, loaded.inputs).hidden_states):
            np.testing.assert_allclose(hidden, loaded.stored[f"teacher_hidden.{index}"], rtol=1e-4, atol=1e-4)
        projected, _ = loaded.student.student(**loaded.inputs)
        for index, hidden in enumerate(projected):
            np.testing.assert_allclose(hidden, loaded.stored[f"student_hidden_projected.{index}"], rtol=1e-4, atol=1e-4)


def test_command_prints_json_of_any_case():
    done = subprocess.run([sys.executable, "-m", "tests.parity", str(CASES / "a")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["stage1_loss"] == pytest.approx(json.loads((CASES / "a.json").read_text())["stage1_loss"], rel=1e-5)


def test_command_names_a_missing_file(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tests.parity", str(tmp_path / "z")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'z.json'}: no such file: a case is PATH.npz and PATH.json\n"
