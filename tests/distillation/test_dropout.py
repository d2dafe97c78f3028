"""Dropout in half precision on a processor: what is drawn, by every family, and that it is torch's own elsewhere."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForSequenceClassification

from confidistill.architectures import ARCHITECTURES
from confidistill.distillation.dropout import dropout, trained_dropout
from tests import families

RATES = (0.001, 0.1, 0.5, 0.9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rate", RATES)
def test_as_many_are_dropped_as_the_rate_says_and_the_others_make_up_for_them(rate, dtype):
    torch.manual_seed(0)
    count = 10**6
    out = dropout(torch.ones(count, dtype=dtype), rate).double()
    dropped = (out == 0).double().mean().item()
    assert abs(dropped - rate) < 5 * math.sqrt(rate * (1 - rate) / count) + 2**-17
    kept = out[out != 0]
    assert (kept == kept[0]).all()
    assert kept[0].item() == pytest.approx(1 / (1 - rate), rel=torch.finfo(dtype).eps + 2**-17 / (1 - rate))


def test_one_element_says_nothing_of_its_neighbours():
    """Four of them are of the same 64-bit number."""
    torch.manual_seed(0)
    gone = dropout(torch.ones(10**6), 0.5) == 0
    for lag in (1, 2, 3, 4):
        both = (gone[lag:] & gone[:-lag]).double().mean().item()
        assert abs(both - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 10**6)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 4)])
def test_shape_and_gradient_are_of_what_was_kept(shape):
    torch.manual_seed(0)
    values = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out = dropout(values, 0.5)
    out.sum().backward()
    torch.testing.assert_close(out, values * values.grad)

    def same(given):
        torch.manual_seed(1)
        return dropout(given, 0.5)

    assert gradcheck(same, values)


def test_a_seed_gives_the_same_draws():
    values = torch.ones(1000)
    torch.manual_seed(3)
    first, second = dropout(values, 0.3), dropout(values, 0.3)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.3), first)
    assert not torch.equal(first, second)


def test_none_all_and_not_in_training():
    values = torch.randn(7)
    before = torch.get_rng_state()
    assert dropout(values, 0.0) is dropout(values, 0.5, training=False) is values
    assert torch.equal(dropout(values, 1.0), torch.zeros(7))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_no_family_draws_otherwise(family):
    """torch's own draws are `aten::bernoulli_`, which is what makes its dropout slow."""
    model = AutoModelForSequenceClassification.from_config(families.config(family), attn_implementation="eager").train()
    inputs = torch.randint(5, 80, (2, 9))

    def drawn():
        with profile(activities=[ProfilerActivity.CPU]) as measured:
            model(input_ids=inputs).logits.sum().backward()
        return {event.key for event in measured.key_averages()} & {"aten::bernoulli_", "aten::random_"}

    rates = ["aten::bernoulli_"] if drawn() else []  # ModernBERT, say, is without dropout by default
    with trained_dropout("bf16"):
        assert drawn() == ({"aten::random_"} if rates else set())


@pytest.mark.parametrize(("gpu", "precision"), [(True, "bf16"), (True, "fp16"), (False, "fp32"), (False, "bf16")])
def test_on_a_gpu_and_in_fp32_torch_draws(monkeypatch, gpu, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    values = torch.ones(100)
    torch.manual_seed(0)
    torchs = functional.dropout(values, 0.5)
    torch.manual_seed(0)
    with trained_dropout(precision):
        assert torch.equal(functional.dropout(values, 0.5), torchs) == (gpu or precision == "fp32")
