"""What is said of a family holds of its models."""

import json
import shutil

import pandas as pd
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    RobertaConfig,
    T5Config,
)

from confidistill.architectures import ARCHITECTURES, architecture_in, architecture_of, longest_input
from confidistill.architectures.architecture import model_inputs, part, reshaped
from confidistill.distillation.finetuning import finetune_teacher
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests import tiny
from tests.distillation.stages import TRAINING

SIZES = {"vocab_size": 90, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS = {"bert": BertConfig(**SIZES, max_position_embeddings=20)}


@pytest.fixture(params=ARCHITECTURES)
def model(request):
    torch.manual_seed(0)
    return AutoModel.from_config(CONFIGS[request.param]).eval()


def states(model, ids):
    return model(ids, output_hidden_states=True).hidden_states


def test_hidden_states_come_from_the_embeddings_and_layers_that_are_named(model):
    """Zeroed embeddings change the first state, a layer's weights the state after it and none before."""
    architecture, ids = architecture_of(model.config), torch.arange(6)[None]
    with torch.no_grad():
        before = states(model, ids)
        assert len(part(model, architecture.layers)) == len(before) - 1 == 3
        for parameter in part(model, architecture.layers)[1].parameters():
            parameter.mul_(2)
        after = states(model, ids)
        assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [True, True, False, False]
        for parameter in part(model, architecture.pooler).parameters():
            parameter.mul_(2)
        assert all(torch.equal(*pair) for pair in zip(after, states(model, ids), strict=True))
        for name in architecture.embedding_tables:
            table = getattr(part(model, architecture.embeddings), name).weight
            assert table.shape[1] == model.config.hidden_size
            table.mul_(2)
            changed = states(model, ids)
            assert not torch.equal(after[0], changed[0]), name
            after = changed
    assert len(getattr(part(model, architecture.embeddings), architecture.embedding_tables[0]).weight) == 90


def test_the_longest_input_is_read_and_no_longer_one(model):
    longest = longest_input(model.config)
    model(torch.zeros(1, longest, dtype=torch.long))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.zeros(1, longest + 1, dtype=torch.long))


def test_another_size_is_of_the_same_family(model):
    sizes = {"layers": 2, "hidden_size": 12, "intermediate_size": 16, "attention_heads": 2}
    other = AutoModel.from_config(reshaped(model.config, **sizes))
    assert type(other) is type(model)
    assert [hidden.shape for hidden in states(other, torch.arange(6)[None])] == [(1, 6, 12)] * 3
    assert model.config.num_hidden_layers == 3


def test_the_masked_lm_head_makes_the_logits():
    model, ids = BertForMaskedLM(CONFIGS["bert"]).eval(), torch.arange(6)[None]
    with torch.no_grad():
        head = part(model, architecture_of(model.config).masked_lm_head)
        assert torch.equal(head(model.base_model(ids).last_hidden_state), model(ids).logits)


def test_words_and_pieces(tmp_path):
    tiny.write_model(tmp_path)
    bert, tokenizer = architecture_in(tmp_path), load_tokenizer(tmp_path)
    words = bert.words(tokenizer, "The film, superb!")
    assert words == ["the", "film", ",", "superb", "!"]
    tokens = tokenizer.convert_ids_to_tokens(bert.pieces(tokenizer, "Superb"))
    assert tokens == ["s", "##u", "##p", "##e", "##r", "##b"]
    assert [bert.continues(token) for token in tokens] == [False, True, True, True, True, True]


def test_a_model_is_given_what_it_takes(model):
    assert model_inputs(model) == ("input_ids", "attention_mask", "token_type_ids")
    distilled = DistilBertModel(DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=1, hidden_dim=8))
    assert model_inputs(distilled) == ("input_ids", "attention_mask")


def test_the_limit_of_other_families_is_theirs():
    assert longest_input(DistilBertConfig(max_position_embeddings=77)) == 77
    assert longest_input(GPT2Config(n_positions=33)) == 33
    assert longest_input(T5Config()) is None  # positions are relative


def test_another_family_is_refused_before_anything_is_trained(tmp_path):
    tiny.write_model(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "other")
    RobertaConfig(**SIZES).save_pretrained(tmp_path / "other")
    table = pd.DataFrame({"text": ["the film"], "label": [0]})
    with pytest.raises(UserError) as error:
        finetune_teacher(
            tmp_path / "other",
            table,
            table,
            tmp_path / "out",
            label_names=["bad", "good"],
            max_length=8,
            training=TRAINING,
            metric="accuracy",
            checkpoints=tmp_path / "checkpoints",
        )
    assert str(error.value).endswith("a 'roberta' model is not supported: only model_type 'bert' is")
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), ("{", "not a valid JSON"), ('{"model_type": "mine"}', "mine")]
)
def test_a_folder_that_is_no_model(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        architecture_in(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'config.json'}: ")
    assert "\n" not in str(error.value)


def test_the_family_is_read_from_the_folder(tmp_path):
    tiny.write_model(tmp_path)
    assert architecture_in(tmp_path) is architecture_of(AutoConfig.from_pretrained(tmp_path))
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"
