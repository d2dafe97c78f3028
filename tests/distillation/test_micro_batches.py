"""A step taken in parts is the same step; where memory does not suffice the parts are halved."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from transformers import BertModel

from confidistill.distillation.intermediate import distill_intermediate
from confidistill.distillation.trainer import StepTrainer
from confidistill.errors import UserError
from tests.distillation import stages
from tests.distillation.stages import TRAINING, contents, history
from tests.distillation.test_torchrun import torchrun

NAMES = list(stages.STAGES)


def assert_same_run(one, other):
    assert history(one, "step") == history(other, "step")
    for key in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose(history(one, key), history(other, key), atol=1e-5, rtol=1e-5)
    theirs = load_file(other / "model.safetensors")
    for name, tensor in load_file(one / "model.safetensors").items():
        np.testing.assert_allclose(tensor, theirs[name], atol=1e-4, err_msg=name)


@pytest.fixture
def passes(monkeypatch):
    """How many examples each forward pass in training mode has."""
    rows = []
    forward = BertModel.forward

    def counted(self, input_ids=None, **inputs):
        if self.training:
            rows.append(len(input_ids))
        return forward(self, input_ids=input_ids, **inputs)

    monkeypatch.setattr(BertModel, "forward", counted)
    return rows


@pytest.mark.parametrize("stage", NAMES)
def test_a_step_in_parts_is_the_same_step(assets, tmp_path, passes, stage):
    """Batches of 8, the last of an epoch 4, in parts of 3: none divides. `plain` has no dropout."""
    stages.STAGES[stage](assets, tmp_path / "whole", base="plain")
    assert passes == [8, 8, 8, 8, 8, 4] * 2
    passes.clear()
    stages.STAGES[stage](assets, tmp_path / "parts", base="plain", training=replace(TRAINING, micro_batch_size=3))
    assert passes == ([3, 3, 2] * 5 + [3, 1]) * 2
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_padding_as_in_the_reference(assets, tmp_path):
    """Its mean runs over padded positions too, which the parts share with the whole batch."""
    for size in ("auto", 3):
        distill_intermediate(
            assets / "plain",
            assets / "plain-student",
            pd.read_parquet(assets / "train.parquet"),
            tmp_path / str(size),
            max_length=16,
            training=replace(TRAINING, micro_batch_size=size),
            padding="reference",
            checkpoints=tmp_path / "checkpoints",
        )
    assert_same_run(tmp_path / "3", tmp_path / "auto")


def test_two_processes_in_parts(assets, tmp_path):
    """Each has 4 examples of a batch of 8 and 2 of the last 4, in parts of 3."""
    training = replace(TRAINING, micro_batch_size=3)
    done = torchrun("intermediate", assets, tmp_path / "two", training)
    assert done.returncode == 0, done.stderr
    stages.intermediate(assets, tmp_path / "one", base="plain")
    assert_same_run(tmp_path / "two" / "intermediate", tmp_path / "one")


@pytest.fixture
def small_memory(monkeypatch):
    """A function that makes the student's forward pass run out of memory over so many examples."""

    def of(examples: int) -> None:
        forward = BertModel.forward

        def limited(self, input_ids=None, **inputs):
            if self.training and len(input_ids) > examples:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(self, input_ids=input_ids, **inputs)

        monkeypatch.setattr(BertModel, "forward", limited)

    return of


def test_parts_are_halved_where_memory_does_not_suffice(assets, tmp_path, small_memory, passes, capsys):
    stages.prediction(assets, tmp_path / "whole", base="plain")
    passes.clear()
    small_memory(3)
    stages.prediction(assets, tmp_path / "out", base="plain")
    assert passes == ([2] * 4 * 5 + [2] * 2) * 2
    eight, four = capsys.readouterr().err.splitlines()
    assert eight.startswith("memory does not suffice for 8 examples of ")
    assert eight.endswith(" tokens at once: going on with 4, same batch")
    assert four.endswith(" tokens at once: going on with 2, same batch")
    assert_same_run(tmp_path / "out", tmp_path / "whole")


def test_gradients_of_a_step_that_failed_are_not_kept(assets, tmp_path, monkeypatch):
    """Out of memory in the second of two parts, after the first has left its gradients."""
    once = replace(TRAINING, epochs=1)
    stages.prediction(assets, tmp_path / "whole", base="plain", training=once)
    compute_loss = StepTrainer.compute_loss
    seen = []

    def limited(self, model, inputs, *args, **kwargs):
        seen.append(len(inputs["input_ids"]))
        if seen in ([8], [8, 4, 4]):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(StepTrainer, "compute_loss", limited)
    stages.prediction(assets, tmp_path / "out", base="plain", training=once)
    assert seen == [8, 4, 4, *[2] * 4 * 5, 2, 2]
    assert_same_run(tmp_path / "out", tmp_path / "whole")


def test_the_size_that_fits_is_resumed(assets, tmp_path, small_memory, stopped, passes, capsys):
    """With dropout: other parts would draw other noise."""
    small_memory(3)
    stopped("prediction", 5)
    capsys.readouterr()
    passes.clear()
    stages.prediction(assets, tmp_path / "out")
    assert capsys.readouterr().err == ""
    assert set(passes) == {2}
    stages.prediction(assets, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("size", "fits", "message"),
    [
        ("auto", 0, r"1 examples of \d+ tokens at once: lower max_length or take a smaller model"),
        (4, 3, r"4 examples of \d+ tokens at once: lower micro_batch_size"),
    ],
)
def test_memory_that_never_suffices(assets, tmp_path, small_memory, size, fits, message):
    small_memory(fits)
    with pytest.raises(UserError, match=message):
        stages.prediction(assets, tmp_path / "out", training=replace(TRAINING, micro_batch_size=size))
    assert not (tmp_path / "out").exists()
