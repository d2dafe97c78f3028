"""Logits in evaluation mode do not depend on the batch or on the order."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from confidistill.distillation.inference import predict_logits
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.distillation import stages


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
    found = predict_logits(classifier, table, max_length=32, batch_size=8)
    assert found.dtype == np.float32
    assert len({len(text.split()) for text in table["text"]}) > 3  # there is something to reorder
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 64])
def test_batch_size_does_not_matter(classifier, assets, batch_size):
    table = pd.read_parquet(assets / "dev.parquet")
    reference = predict_logits(classifier, table, max_length=16)
    np.testing.assert_allclose(
        predict_logits(classifier, table, max_length=16, batch_size=batch_size), reference, atol=1e-5
    )


def test_permuted_rows_give_permuted_logits(classifier, assets):
    table = pd.read_parquet(assets / "dev.parquet")
    order = np.random.default_rng(0).permutation(len(table))
    reference = predict_logits(classifier, table, max_length=16)
    np.testing.assert_allclose(
        predict_logits(classifier, table.iloc[order], max_length=16), reference[order], atol=1e-5
    )


def test_texts_are_cut_to_max_length(classifier):
    long = pd.DataFrame({"text": ["the film was very great", "the film"]})
    logits = predict_logits(classifier, long, max_length=4)
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)


def test_no_text(classifier):
    with pytest.raises(UserError, match="the table has no row"):
        predict_logits(classifier, pd.DataFrame({"text": []}), max_length=16)
