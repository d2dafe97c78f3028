"""Which number format a run multiplies in, and that a run in fp16 is resumed with its loss scale."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from confidistill.distillation import precision as module
from confidistill.distillation.precision import Choice, candidates, resolve, settle, speed, supported
from tests.distillation import stages
from tests.distillation.stages import TRAINING, contents, history

FP16 = replace(TRAINING, precision="fp16")


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this machine one where bf16 is native or not and so many times as fast as fp32."""

    def of(native: bool, ratio: float) -> None:
        monkeypatch.setattr(module, "supported", lambda precision: native or precision == "fp32")
        monkeypatch.setattr(module, "speed", lambda precision: ratio)

    return of


@pytest.mark.parametrize(
    ("native", "ratio", "chosen", "said"),
    [
        (True, 3.0, "bf16", "precision auto: bf16, as bf16 multiplies matrices 3.0 times as fast here"),
        (True, 1.2, "fp32", "precision auto: fp32, as bf16 multiplies matrices 1.2 times as fast here"),
        (False, 3.0, "fp32", "precision auto: fp32, as bf16 is not native here"),
    ],
)
def test_auto_takes_bf16_where_it_is_native_and_pays(machine, native, ratio, chosen, said):
    machine(native, ratio)
    assert resolve("auto") == Choice(chosen, said)


@pytest.mark.parametrize("asked", ["bf16", "fp16"])
def test_what_is_emulated_is_a_warning_with_the_ratio(machine, asked):
    machine(False, 0.0177)
    said = f"{asked} is emulated here and multiplies matrices 0.018 times as fast as fp32"
    said += ": set precision to auto or fp32"
    assert resolve(asked) == Choice(asked, said, warning=True)
    machine(True, 0.0177)
    assert resolve(asked) == Choice(asked)


def test_fp32_is_native_everywhere_and_as_fast_as_itself():
    assert supported("fp32")
    assert resolve("fp32") == Choice("fp32")
    assert 0.3 < speed("fp32") < 3


def test_the_measurement_leaves_random_numbers_and_threads_alone():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert speed("bf16") > 0
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


def test_said_once_and_kept(machine, tmp_path, capsys):
    """A resumed run goes on in the precision it began with, whatever is measured then."""
    machine(True, 3.0)
    assert settle("auto", tmp_path / "precision") == "bf16"
    machine(True, 1.0)
    assert settle("auto", tmp_path / "precision") == "bf16"
    first, second = capsys.readouterr().err.splitlines()
    assert first == "precision auto: bf16, as bf16 multiplies matrices 3.0 times as fast here"
    assert second == "precision auto: bf16, as this run began"


def test_another_machine_begins_anew(machine):
    """Checkpoints of a run that might have taken bf16 are none of a machine that could not have."""
    machine(True, 3.0)
    here = candidates("auto")
    machine(False, 3.0)
    assert here != candidates("auto")


def test_what_it_was_trained_in_is_in_the_history(machine, assets, tmp_path):
    machine(True, 3.0)
    for setting, expected in (("auto", "bf16"), ("fp32", "fp32")):
        stages.intermediate(assets, tmp_path / setting, training=replace(TRAINING, epochs=1, precision=setting))
        assert json.loads((tmp_path / setting / "history.json").read_text())[0] == {
            "precision": expected, "threads": torch.get_num_threads()
        }  # fmt: skip


@pytest.mark.parametrize(("precision", "fused"), [("fp32", True), ("bf16", False)])
def test_attention_is_fused_in_training_only_where_that_is_fast(monkeypatch, assets, tmp_path, precision, fused):
    """The fused kernel's backward pass is slow on a processor in half precision."""
    kernel, trained = torch.nn.functional.scaled_dot_product_attention, []

    def watched(query, *rest, **more):
        trained.append(query.requires_grad)
        return kernel(query, *rest, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    training = replace(TRAINING, epochs=1, precision=precision)
    stages.prediction(assets, tmp_path / "out", base="plain", training=training)
    assert any(trained) == fused
    stages.prediction(assets, tmp_path / "fp32", base="plain", training=replace(training, precision="fp32"))
    np.testing.assert_allclose(history(tmp_path / "out"), history(tmp_path / "fp32"), rtol=0.03)


def test_fp16_is_near_fp32_but_not_it(assets, tmp_path):
    stages.intermediate(assets, tmp_path / "fp32", base="plain")
    stages.intermediate(assets, tmp_path / "fp16", base="plain", training=FP16)
    full, half = history(tmp_path / "fp32"), history(tmp_path / "fp16")
    assert full != half
    np.testing.assert_allclose(half, full, rtol=0.03)


@pytest.fixture
def restless_scaler(monkeypatch):
    """A loss scale that starts where the tiny model's gradients overflow, and grows again after two steps."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**24, growth_interval=2)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)


@pytest.mark.usefixtures("restless_scaler")
def test_fp16_is_resumed_with_its_loss_scale(assets, tmp_path, stopped):
    """A run that began again with a new scaler would skip other steps."""
    folder = stopped("intermediate", 6, training=FP16)
    state = torch.load(folder / "checkpoint-6" / "scaler.pt", weights_only=True)
    assert 1 < state["scale"] < 2**24
    stages.intermediate(assets, tmp_path / "out", training=FP16)
    stages.intermediate(assets, tmp_path / "whole", training=FP16)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("restless_scaler")
def test_a_step_that_overflows_is_not_taken_and_has_no_norm(assets, tmp_path):
    stages.intermediate(assets, tmp_path / "out", training=replace(FP16, checkpoint_steps=1))
    norms, rates = history(tmp_path / "out", "grad_norm"), history(tmp_path / "out", "learning_rate")
    assert norms[0] is None
    taken = [norm for norm in norms if norm is not None]
    assert 0 < len(taken) < len(norms)
    assert min(taken) > 0
    stages.intermediate(assets, tmp_path / "fp32", training=replace(TRAINING, checkpoint_steps=1))
    assert rates == history(tmp_path / "fp32", "learning_rate")  # the schedule goes on
