"""BERT-base's published weights carry the names of 2018; they load whole wherever the paper profile uses them."""

import re

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertForPreTraining

from confidistill.augmentation.masked_lm import MaskedLM
from tests.text.toy import tokenizer

# Of model.safetensors in google-bert/bert-base-uncased: gamma and beta, both pretraining heads, no tied decoder.
ABSENT = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "bert.embeddings.position_ids")


@pytest.fixture
def published(tmp_path):
    vocabulary = len(tokenizer(tmp_path))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=vocabulary, **sizes)
    torch.manual_seed(0)
    model = BertForPreTraining(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    config.save_pretrained(tmp_path)
    state = {}
    for name, tensor in model.state_dict().items():
        if name not in ABSENT:
            name = re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", name))
            state[name] = tensor.clone()
    assert "bert.embeddings.LayerNorm.gamma" in state
    assert "cls.seq_relationship.weight" in state
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path, model


def test_as_teacher_and_as_masked_lm(published):
    folder, model = published
    base = AutoModel.from_pretrained(folder, use_safetensors=True).state_dict()
    for name, tensor in model.bert.state_dict().items():
        torch.testing.assert_close(base[name], tensor, rtol=0, atol=0)
    masked = MaskedLM(folder).model
    assert isinstance(masked, BertForMaskedLM)
    ids = torch.tensor([[2, 6, 7, 3]])
    with torch.no_grad():
        expected = model.eval()(ids).prediction_logits
        torch.testing.assert_close(masked.cpu()(ids).logits, expected)
