"""Training the embedding's used rows alone comes to what training the whole embedding does."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification

from confidistill.architectures import ARCHITECTURES
from confidistill.architectures.architecture import model_inputs
from confidistill.distillation import training as loop
from confidistill.distillation.data import Examples, used_ids
from confidistill.distillation.vocabulary import UsedRows, used_rows
from confidistill.text.tokens import load_tokenizer
from tests import families
from tests.distillation import stages
from tests.distillation.stages import TRAINING, history

EMBEDDING = {
    "teacher": "bert.embeddings.word_embeddings.weight",
    "general": "embeddings.word_embeddings.weight",
    "intermediate": "embeddings.word_embeddings.weight",
    "prediction": "bert.embeddings.word_embeddings.weight",
}


@pytest.mark.parametrize("stage", EMBEDDING)
def test_a_stage_ends_as_with_the_whole_embedding(assets, tmp_path, monkeypatch, stage):
    training = replace(TRAINING, weight_decay=0.3)
    stages.STAGES[stage](assets, tmp_path / "used", training=training)
    monkeypatch.setattr(loop, "used_rows", lambda *_: nullcontext())
    stages.STAGES[stage](assets, tmp_path / "whole", training=training)
    for key in ("loss", "grad_norm", "sigma_dev"):
        assert history(tmp_path / "used", key) == pytest.approx(history(tmp_path / "whole", key), abs=1e-5)
    used, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("used", "whole"))
    assert used.keys() == whole.keys()
    for name in used:
        torch.testing.assert_close(used[name], whole[name], atol=2e-5, rtol=0)


def test_a_row_that_is_not_used_decays_by_the_closed_form(assets, tmp_path):
    training = replace(TRAINING, weight_decay=0.3, warmup_ratio=0.0)
    stages.prediction(assets, tmp_path / "out", training=training)
    tokenizer = load_tokenizer(assets / "base")
    used = used_ids(Examples(tokenizer, pd.read_parquet(assets / "train.parquet"), 16), tokenizer.pad_token_id)
    before = load_file(assets / "base-student" / "model.safetensors")[EMBEDDING["general"]]
    after = load_file(tmp_path / "out" / "model.safetensors")[EMBEDDING["prediction"]]
    unused = [row for row in range(len(before)) if row not in used.tolist()]
    assert len(unused) > 3
    ratio = (after[unused] / before[unused]).mean().item()
    rates = [training.learning_rate * (1 - step / 12) for step in range(12)]
    factors = [
        math.prod(1 - rate * 0.3 for rate in rates[:steps]) for steps in (6, 12)
    ]  # of either epoch, which is kept
    assert min(abs(ratio - factor) for factor in factors) < 1e-6 < abs(factors[0] - factors[1])


def test_ids_that_are_not_used_are_answered_in_evaluation():
    whole = nn.Embedding(6, 2, padding_idx=0)
    rows = whole.weight.detach().clone()
    narrow = UsedRows(whole, torch.tensor([0, 3, 4]))
    assert narrow.weight.shape == (4, 2)
    narrow.weight.data *= 0.5
    narrow.eval()
    assert torch.equal(narrow(torch.arange(6).reshape(2, 3)), (rows * 0.5).reshape(2, 3, 2))
    narrow.train()
    narrow(torch.tensor([0, 3])).sum().backward()
    assert narrow.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]  # padding has none
    narrow.written_to(whole)
    assert torch.equal(whole.weight, rows * 0.5)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_of_every_family_the_same_logits_and_gradients(family, tmp_path):
    families.write_model(tmp_path, family)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=2).eval()
    ids = torch.tensor([[5, 9, 11, 20, 17], [7, 9, 19, 12, 6]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    inputs = {name: inputs[name] for name in model_inputs(model)}

    def run():
        model.zero_grad()
        logits = model(**inputs).logits
        logits.square().sum().backward()
        return logits.detach(), model.get_input_embeddings().weight.grad

    logits, gradient = run()
    used = torch.cat([ids.flatten(), torch.tensor([model.config.pad_token_id])]).unique()
    with used_rows(model, used):
        assert len(model.get_input_embeddings().weight) == len(used) + 1
        narrow_logits, narrow_gradient = run()
    torch.testing.assert_close(narrow_logits, logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(narrow_gradient[:-1], gradient[used], atol=1e-5, rtol=0)
    assert not narrow_gradient[-1].any()
    assert run()[1].shape == gradient.shape
