"""A student of each family says the same as an ONNX graph, whatever the length of a text, and nearly so in 8 bits."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from confidistill.architectures import ARCHITECTURES
from confidistill.classifiers.huggingface import HuggingFaceClassifier
from confidistill.classifiers.onnx_file import OnnxClassifier
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from confidistill.distillation.classifier import new_classifier, save_classifier
from confidistill.errors import UserError
from confidistill.export.graph import onnx_graph
from confidistill.export.variants import VARIANTS, export, write_variant
from confidistill.text.tokens import load_tokenizer
from tests import families
from tests.distillation.stages import table

LONGEST = 38  # tokens: RoBERTa's and MPNet's 40 positions begin behind that of padding


@pytest.fixture(scope="module", params=ARCHITECTURES)
def student(request, tmp_path_factory):
    """A classifier of three classes, and beside it a graph of each variant."""
    folder = tmp_path_factory.mktemp(request.param)
    families.write_model(folder / "base", request.param)
    torch.manual_seed(1)
    model = new_classifier(folder / "base", ["bad", "fair", "good"])
    save_classifier(model, load_tokenizer(folder / "base"), folder / "student", history=[], card="")
    graph = onnx_graph(model)
    for variant in VARIANTS:
        write_variant(graph, variant, folder / "student" / f"{variant}.onnx")
    return folder / "student"


@pytest.fixture(scope="module")
def rows():
    """Texts of 3 tokens to many more than are read: other lengths than that which the graph was made with."""
    texts = table(40, seed=2)["text"].tolist()
    longer = [" ".join(texts[start : start + count]) for count in (1, 2, 3, 6) for start in range(0, 12, 3)]
    return pd.DataFrame({"text": ["a", "the film", *longer]})


@pytest.mark.parametrize("pairs", [False, True])
def test_the_graph_says_what_the_student_says(student, rows, pairs):
    table = rows.assign(text_pair=rows["text"].to_numpy()[::-1]) if pairs else rows
    expected = HuggingFaceClassifier(student, max_length=LONGEST).logits(table)
    assert np.ptp(expected, axis=0).max() > 0.05  # the texts differ
    whole = OnnxClassifier(student / "onnx.onnx", max_length=LONGEST)
    np.testing.assert_allclose(whole.logits(table), expected, atol=1e-4)
    np.testing.assert_allclose(whole.batch(table)(), expected, atol=1e-4)
    int8 = OnnxClassifier(student / "onnx-int8.onnx", max_length=LONGEST).logits(table)
    assert 1e-5 < sigma(pairwise_difference(softmax(expected), softmax(int8))) < 0.1


def test_no_more_tokens_than_the_family_reads(student):
    model_type = AutoConfig.from_pretrained(student).model_type
    longest = ARCHITECTURES[model_type].longest(families.config(model_type))
    assert OnnxClassifier(student / "onnx.onnx", max_length=longest).max_length == longest
    with pytest.raises(UserError, match=f"takes at most {longest} tokens, not {longest + 1}: lower max_length"):
        OnnxClassifier(student / "onnx.onnx", max_length=longest + 1)


def test_another_family_is_refused_in_one_line(tmp_path):
    config = AutoConfig.for_model(
        "convbert", vocab_size=90, hidden_size=16, embedding_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "student")
    with pytest.raises(UserError) as refused:
        export(tmp_path / "student", "onnx", tmp_path / "onnx")
    assert str(refused.value).startswith(f"{tmp_path}/student/config.json: a 'convbert' model is not supported")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "onnx").exists()
