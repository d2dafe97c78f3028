"""Captured scores are what eager attention computes before its softmax."""

import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertModel, GPT2Config, GPT2Model

from confidistill.distillation.scores import capture_scores, forward
from confidistill.errors import UserError

LENGTHS = torch.tensor([7, 3, 5])


def config():
    """A new one each time: a model writes its attention into the config it was given."""
    return BertConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.5,  # large enough for scores far from 0
    )


@pytest.fixture(scope="module")
def models():
    """The same weights twice: scores captured, and eager attention as transformers has it."""
    torch.manual_seed(0)
    captured = BertForSequenceClassification(config()).eval()
    eager = BertForSequenceClassification(config()).eval()
    eager.load_state_dict(captured.state_dict())
    eager.set_attn_implementation("eager")
    capture_scores(captured)
    return captured, eager


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    mask = (torch.arange(7) < LENGTHS[:, None]).long()
    return {
        "input_ids": torch.randint(1, 50, (3, 7)) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, (3, 7)),
    }


@torch.no_grad()
def test_softmax_of_the_masked_scores_is_eagers_attention(models, inputs):
    captured, eager = models
    found = forward(captured, **inputs)
    expected = eager(**inputs, output_attentions=True, output_hidden_states=True)
    assert len(found.scores) == 3 and found.scores[0].shape == (3, 4, 7, 7)
    padded = inputs["attention_mask"][:, None, None, :] == 0
    for scores, probabilities in zip(found.scores, expected.attentions, strict=True):
        torch.testing.assert_close(scores.masked_fill(padded, float("-inf")).softmax(-1), probabilities)
        assert probabilities[1, :, :, 3:].max() == 0  # padding is masked
        assert scores.abs().max() < 1e3  # ... but not in the scores
    assert found.logits is not None
    torch.testing.assert_close(found.logits, expected.logits)
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_scores_are_scaled_products_of_query_and_key(models, inputs):
    captured, _ = models
    found = forward(captured, **inputs)
    attention = captured.bert.encoder.layer[0].attention.self
    embedded = found.hidden_states[0]

    def heads(linear):
        return linear(embedded).view(3, 7, 4, 6).transpose(1, 2)  # (B, h, T, H/h)

    expected = heads(attention.query) @ heads(attention.key).transpose(2, 3) / 6**0.5
    torch.testing.assert_close(found.scores[0], expected)


@torch.no_grad()
def test_padding_changes_no_feature_of_a_real_token(models, inputs):
    captured, _ = models
    found = forward(captured, **inputs)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = forward(captured, **{key: value[row : row + 1, :length] for key, value in inputs.items()})
        for together, single in zip(found.scores, alone.scores, strict=True):
            torch.testing.assert_close(together[row, :, :length, :length], single[0], rtol=1e-4, atol=1e-5)
        for together, single in zip(found.hidden_states, alone.hidden_states, strict=True):
            torch.testing.assert_close(together[row, :length], single[0], rtol=1e-4, atol=1e-5)


def test_attention_dropout_acts_in_training_only(models, inputs):
    captured, _ = models
    once, twice = (forward(captured, **inputs).logits for _ in range(2))
    assert torch.equal(once, twice)
    captured.train()
    for name, module in captured.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.endswith("attention.self.dropout"):
            module.p = 0.0
    once, twice = (forward(captured, **inputs) for _ in range(2))
    captured.eval()
    assert torch.equal(once.scores[0], twice.scores[0])  # computed before dropout
    assert not torch.equal(once.hidden_states[1], twice.hidden_states[1])


def test_gradients_are_eagers(models, inputs):
    captured, eager = models
    for model in models:
        model.zero_grad()
    functional.cross_entropy(forward(captured, **inputs).logits, torch.tensor([0, 1, 0])).backward()
    functional.cross_entropy(eager(**inputs).logits, torch.tensor([0, 1, 0])).backward()
    for (name, ours), theirs in zip(captured.named_parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text
        )


@torch.no_grad()
def test_a_model_goes_back_to_other_attention(inputs):
    torch.manual_seed(2)
    model = BertModel(config()).eval()
    before = model(**inputs).last_hidden_state
    capture_scores(model)
    forward(model, **inputs)
    model.set_attn_implementation("sdpa")
    assert torch.equal(model(**inputs).last_hidden_state, before)


def test_another_family_is_refused():
    model = GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(UserError, match="a 'gpt2' model is not supported: supported are bert, roberta, "):
        capture_scores(model)
