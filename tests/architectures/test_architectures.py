"""What is said of a family holds of its models."""

import json
import shutil

import pandas as pd
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    DistilBertConfig,
    GPT2Config,
    T5Config,
)

from confidistill.architectures import ARCHITECTURES, architecture_in, architecture_of, longest_input
from confidistill.architectures.architecture import dropouts, model_inputs, no_words, part, reshaped
from confidistill.distillation.finetuning import finetune_teacher
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests import families, tiny
from tests.distillation.stages import TRAINING

POSITIONS = ("bert", "roberta", "camembert", "distilbert", "albert", "mobilebert", "esm", "mpnet")  # learned ones


@pytest.fixture(params=ARCHITECTURES)
def model(request):
    torch.manual_seed(0)
    return AutoModel.from_config(families.config(request.param, layers=4)).eval()


def states(model, ids):
    return model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states


@torch.no_grad()
def test_hidden_states_come_from_the_embeddings_and_layers_that_are_named(model):
    """Other embeddings change the first state, a layer's weights the state after it and none before."""
    architecture, ids = architecture_of(model.config), torch.arange(5, 11)[None]
    before = states(model, ids)
    assert len(before) == 5
    if architecture.layers:
        layers = part(model, architecture.layers)
        assert len(layers) == 4
        for parameter in layers[1].parameters():
            parameter.normal_()
        after = states(model, ids)
        assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [True, True, False, False, False]
        before = after
    for unused in filter(None, (part(model, path) for path in architecture.unused)):
        for parameter in unused.parameters():
            parameter.normal_()
        assert all(torch.equal(*pair) for pair in zip(before, states(model, ids), strict=True))
    tables = [table for path in architecture.tables if (table := part(model, path)) is not None]
    assert len(tables[0].weight) == 90
    projection = part(model, architecture.projection) if architecture.projection else None
    for table in tables:
        assert table.weight.shape[1] == (projection.weight.shape[1] if projection else 16)
        table.weight.normal_()
        after = states(model, ids)
        assert not torch.equal(before[0], after[0])
        before = after
    for path in architecture.embeddings:
        for parameter in part(model, path).parameters():
            parameter.normal_()
        after = states(model, ids)
        assert not torch.equal(before[0], after[0])
        before = after


def test_the_longest_input_is_read_and_no_longer_one(model):
    """Where positions are learned; rotary ones go on, and a model's limit is what it was trained for."""
    longest = longest_input(model.config)
    ids = torch.full((1, longest), 7)
    model(ids, attention_mask=torch.ones_like(ids))
    if model.config.model_type in POSITIONS:
        ids = torch.full((1, longest + 1), 7)
        with pytest.raises((IndexError, RuntimeError)):
            model(ids, attention_mask=torch.ones_like(ids))


def test_another_size_is_of_the_same_family(model):
    architecture = architecture_of(model.config)
    width = 8 if architecture.narrower else 16
    sizes = {"layers": 2, "hidden_size": width, "intermediate_size": 16, "attention_heads": 4}
    other = AutoModel.from_config(reshaped(architecture, model.config, **sizes))
    assert type(other) is type(model)
    assert [hidden.shape for hidden in states(other, torch.arange(6)[None])] == [(1, 6, width)] * 3
    assert architecture.size(other.config, "intermediate_size") == 16
    assert model.config.num_hidden_layers == 4


def test_dropout_is_named_by_the_configuration(model):
    """All of it: a model in training mode with each rate at 0 gives the same twice."""
    config = families.config(model.config.model_type)
    for name in dropouts(config):
        setattr(config, name, 0.0)
    still, ids = AutoModel.from_config(config).train(), torch.arange(6)[None]
    assert torch.equal(states(still, ids)[-1], states(still, ids)[-1])
    if config.model_type == "bert":
        assert sorted(dropouts(config)) == ["attention_probs_dropout_prob", "classifier_dropout", "hidden_dropout_prob"]


def test_the_masked_lm_head_makes_the_logits():
    model, ids = BertForMaskedLM(families.config("bert")).eval(), torch.arange(6)[None]
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
    """No segments where the family has none, or one only: a tokenizer may count them all the same."""
    segments = ("bert", "electra", "albert", "ernie", "mobilebert", "nomic_bert", "megatron-bert")
    expected = ("input_ids", "attention_mask", *(["token_type_ids"] if model.config.model_type in segments else []))
    assert model_inputs(model) == expected


def test_the_limit_of_other_families_is_theirs():
    assert longest_input(DistilBertConfig(max_position_embeddings=77)) == 77
    assert longest_input(GPT2Config(n_positions=33)) == 33
    assert longest_input(T5Config()) is None  # positions are relative


def test_another_family_is_refused_before_anything_is_trained(tmp_path):
    tiny.write_model(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "other")
    GPT2Config().save_pretrained(tmp_path / "other")
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
    assert str(error.value).endswith(f"a 'gpt2' model is not supported: supported are {', '.join(ARCHITECTURES)}")
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


def test_the_page_of_families_says_what_each_supports():
    lines = (tiny.ROOT / "docs" / "families.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    rows = [row for row in rows if row[0] != "`model_type`"]
    assert [row[0].split("`")[1] for row in rows] == list(ARCHITECTURES)
    for (_, matched, narrower, augmented, _, exported), family in zip(rows, ARCHITECTURES.values(), strict=True):
        assert matched.startswith("scores") == family.scores
        assert (narrower == "yes") == family.narrower
        assert ("words" in augmented) == (family.words is not no_words)
        assert ("masked LM" in augmented) == bool(family.masked_lm_head)
        assert exported == "yes"  # of every family: tests/export/test_families.py


def test_a_narrower_classifier_runs_to_its_logits(model):
    """Its head, too, is of the new width."""
    architecture = architecture_of(model.config)
    if not architecture.narrower:
        return
    sizes = {"layers": 1, "hidden_size": 8, "intermediate_size": 16, "attention_heads": 4}
    config = reshaped(architecture, model.config, **sizes)
    classifier = AutoModelForSequenceClassification.from_config(config)
    ids = torch.arange(6)[None]
    assert classifier(ids, attention_mask=torch.ones_like(ids)).logits.shape == (1, 2)
