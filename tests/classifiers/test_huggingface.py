"""Logits in evaluation mode do not depend on the batch or on the order."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BloomConfig, BloomForSequenceClassification

from confidistill.classifiers import open_classifier
from confidistill.classifiers.huggingface import HuggingFaceClassifier
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.distillation import stages


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return stages.write_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="module")
def classifier(assets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "teacher"
    stages.teacher(assets, folder)
    return folder


def test_equal_to_one_text_at_a_time(classifier, assets):
    table = pd.read_parquet(assets / "dev.parquet")
    tokenizer = load_tokenizer(classifier)
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    with torch.no_grad():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in table["text"]]
    found = HuggingFaceClassifier(classifier, max_length=32, batch_size=8).logits(table)
    assert found.dtype == np.float32
    assert len({len(text.split()) for text in table["text"]}) > 3  # there is something to reorder
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 64])
def test_batch_size_does_not_matter(classifier, assets, batch_size):
    table = pd.read_parquet(assets / "dev.parquet")
    reference = HuggingFaceClassifier(classifier, max_length=16).logits(table)
    np.testing.assert_allclose(
        HuggingFaceClassifier(classifier, max_length=16, batch_size=batch_size).logits(table), reference, atol=1e-5
    )


def test_permuted_rows_give_permuted_logits(classifier, assets):
    table = pd.read_parquet(assets / "dev.parquet")
    order = np.random.default_rng(0).permutation(len(table))
    reference = HuggingFaceClassifier(classifier, max_length=16).logits(table)
    np.testing.assert_allclose(
        HuggingFaceClassifier(classifier, max_length=16).logits(table.iloc[order]), reference[order], atol=1e-5
    )


def test_texts_are_cut_to_max_length(classifier):
    long = pd.DataFrame({"text": ["the film was very great", "the film"]})
    logits = HuggingFaceClassifier(classifier, max_length=4).logits(long)
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)


def test_no_text(classifier):
    with pytest.raises(UserError, match="the table has no row"):
        HuggingFaceClassifier(classifier, max_length=16).logits(pd.DataFrame({"text": []}))


def test_a_model_without_a_limit_of_tokens_and_without_padding(assets, tmp_path):
    """Bloom has no table of positions; the tokenizer's padding token is taken away."""
    load_tokenizer(assets / "base").save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    config = BloomConfig(vocab_size=200, hidden_size=8, n_layer=1, n_head=2, pad_token_id=None, num_labels=3)
    model = BloomForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.pad_token_id is None
    table = pd.read_parquet(assets / "dev.parquet").head(5)
    with torch.no_grad():
        alone = [model(tokenizer(text, return_tensors="pt").input_ids).logits[0].numpy() for text in table["text"]]
    found = open_classifier(tmp_path, max_length=5000)
    np.testing.assert_allclose(found.logits(table), np.stack(alone), atol=1e-5)
    assert found.class_names == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_weights_are_read_once_and_only_for_logits(classifier, assets, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(classifier, folder)
    found = open_classifier(folder, max_length=16)
    table = pd.read_parquet(assets / "dev.parquet")
    before = found.logits(table)
    (folder / "model.safetensors").unlink()  # what was read is mapped into memory
    (folder / "model.safetensors").write_bytes(b"not weights")
    assert np.array_equal(found.logits(table), before)
    broken = open_classifier(folder, max_length=16)
    assert (broken.class_names, broken.max_length) == (["bad", "good"], 16)
    with pytest.raises(UserError, match="copy: "):
        broken.logits(table)


def test_more_tokens_than_the_model_reads(classifier):
    with pytest.raises(UserError, match="takes at most 64 tokens, not 65: lower max_length"):
        open_classifier(classifier, max_length=65)


def test_a_model_of_several_labels_a_text(classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    with pytest.raises(UserError, match="problem_type is multi_label_classification"):
        open_classifier(tmp_path / "copy", max_length=16)
