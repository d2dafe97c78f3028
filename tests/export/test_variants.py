"""What is exported says what the student says, is of use alone, and is the same bytes each time."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from confidistill.classifiers import open_classifier
from confidistill.classifiers.onnx_file import OnnxClassifier
from confidistill.cli import app
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from confidistill.distillation.classifier import new_classifier, save_classifier
from confidistill.errors import UserError
from confidistill.export.variants import export
from confidistill.files import sha256
from confidistill.text.tokens import load_tokenizer
from tests import tiny
from tests.distillation.stages import table

MATRICES = 3 + 6 + 2  # embeddings of words, positions and segments; a layer's; pooler and head
FILES = {"README.md", "config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A student with weights large enough to be sure of something, and what it is exported as."""
    import torch

    folder = tmp_path_factory.mktemp("export")
    tiny.write_model(folder / "base", layers=1)
    torch.manual_seed(1)
    model = new_classifier(folder / "base", ["bad", "fair", "good"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(12 if parameter.ndim == 2 else 1)
    save_classifier(model, load_tokenizer(folder / "base"), folder / "student", history=[], card="")
    for variant in ("onnx", "onnx-int8"):
        export(folder / "student", variant, folder / variant)
    return folder


@pytest.fixture(scope="module")
def rows():
    pairs = table(40, seed=2)
    return pairs.assign(text_pair=pairs["text"].to_numpy()[::-1])


def logits(folder, rows, *, max_length=32):
    return open_classifier(folder, max_length=max_length).logits(rows)


@pytest.mark.parametrize("columns", [["text"], ["text", "text_pair"]])
@pytest.mark.parametrize("max_length", [6, 32])
def test_the_graph_says_what_torch_says(folder, rows, columns, max_length):
    torch, graph = (logits(folder / name, rows[columns], max_length=max_length) for name in ("student", "onnx"))
    assert np.ptp(torch) > 1
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph, torch, atol=1e-5)


def test_a_batch_says_what_its_texts_say_alone(folder, rows):
    classifier = open_classifier(folder / "onnx", max_length=32)
    np.testing.assert_allclose(classifier.batch(rows)(), classifier.logits(rows), atol=1e-5)


def test_int8_is_near_and_does_not_depend_on_the_other_texts(folder, rows):
    student, int8 = logits(folder / "student", rows), logits(folder / "onnx-int8", rows)
    assert 1e-4 < sigma(pairwise_difference(softmax(student), softmax(int8))) < 0.2
    order = np.random.default_rng(0).permutation(len(rows))[:7]
    assert np.array_equal(logits(folder / "onnx-int8", rows.iloc[order]), int8[order])


def test_weights_of_int8_are_of_8_bits(folder):
    """Each matrix of weights; what is left in fp32 is biases, norms and scales."""
    weights = onnx.load(folder / "onnx-int8" / "model.onnx").graph.initializer
    types = Counter(weight.data_type for weight in weights if len(weight.dims) == 2)
    assert types[onnx.TensorProto.FLOAT] == 0
    assert types[onnx.TensorProto.INT8] + types[onnx.TensorProto.UINT8] == MATRICES
    whole = onnx.load(folder / "onnx" / "model.onnx").graph.initializer
    assert Counter(weight.data_type for weight in whole if len(weight.dims) == 2)[onnx.TensorProto.FLOAT] == MATRICES


def test_the_same_student_is_the_same_bytes_without_a_path_of_this_machine(folder, tmp_path):
    export(folder / "student", "onnx-int8", tmp_path / "again")
    for name in FILES:
        assert sha256(tmp_path / "again" / name) == sha256(folder / "onnx-int8" / name), name
    content = (folder / "onnx" / "model.onnx").read_bytes()
    assert b".py" not in content
    assert str(tmp_path.parent).encode() not in content


def test_the_folder_is_of_use_alone_and_needs_no_torch(folder, rows, tmp_path):
    assert {path.name for path in (folder / "onnx").iterdir()} == FILES
    shutil.copytree(folder / "onnx", tmp_path / "elsewhere")
    rows.to_parquet(tmp_path / "rows.parquet")
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'transformers'])\n"
        "from pathlib import Path\nimport numpy as np, pandas as pd\n"
        "from confidistill.classifiers import open_classifier\n"
        "classifier = open_classifier(Path('elsewhere'), max_length=32)\n"
        "np.save('logits.npy', classifier.logits(pd.read_parquet('rows.parquet')))\n"
        "print(classifier.class_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "['bad', 'fair', 'good']\n"), done.stderr
    assert np.array_equal(np.load(tmp_path / "logits.npy"), logits(folder / "onnx", rows))


def refusal(path, rows, *, max_length=32):
    with pytest.raises(UserError) as error:
        open_classifier(path, max_length=max_length).logits(rows)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_read_is_told_in_one_line(folder, rows, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder / "onnx", copy)
    assert "takes at most 64 tokens, not 65: lower max_length" in refusal(copy, rows, max_length=65)
    assert "copy/none.onnx: no such file" in refusal(copy / "none.onnx", rows)
    assert "the table has no row" in refusal(copy, rows.head(0))
    shutil.copy(copy / "model.onnx", copy / "other.onnx")
    assert "several models, model.onnx, other.onnx: name one of the files" in refusal(copy, rows)
    assert len(open_classifier(copy / "other.onnx", max_length=32).logits(rows)) == len(rows)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"id2label": {"0": "bad", "1": "good"}}))
    assert "but config.json names 2 classes" in refusal(copy / "model.onnx", rows)
    (copy / "config.json").write_text("{}")
    assert "copy/config.json: not a model's configuration with id2label" in refusal(copy / "model.onnx", rows)
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "model.onnx").write_bytes(b"not a graph")
    assert "copy/model.onnx: " in refusal(copy / "model.onnx", rows)
    graph = onnx.load(copy / "other.onnx")
    graph.graph.input[0].name = "pixels"
    onnx.save(graph, copy / "other.onnx")
    assert "copy/other.onnx: " in refusal(copy / "other.onnx", rows)
    (copy / "tokenizer.json").write_text("{")
    assert "copy/tokenizer.json: " in refusal(copy / "model.onnx", rows)


def test_the_layout_of_the_hub(folder, rows, tmp_path):
    """onnx/model.onnx below config.json and tokenizer.json."""
    shutil.copytree(folder / "onnx", tmp_path / "hub")
    (tmp_path / "hub" / "onnx").mkdir()
    (tmp_path / "hub" / "model.onnx").rename(tmp_path / "hub" / "onnx" / "model.onnx")
    found = OnnxClassifier(tmp_path / "hub" / "onnx" / "model.onnx", max_length=32)
    assert found.class_names == ["bad", "fair", "good"]


def test_the_example_of_the_docs_says_what_the_classifier_says(folder, rows, tmp_path):
    page = (tiny.ROOT / "docs" / "export.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.M)
    shutil.copytree(folder / "onnx-int8", tmp_path / "models/export/movies/S_3L/onnx-int8")
    text = rows["text"].iloc[0]
    (quoted,) = re.findall(r'encode\("(.*)"\)', example)
    done = subprocess.run(
        [sys.executable, "-c", example.replace(quoted, text)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = logits(folder / "onnx-int8", rows[["text"]].head(1))[0]
    name, shares = done.stdout.split(maxsplit=1)
    assert name == ["bad", "fair", "good"][int(said.argmax())]
    np.testing.assert_allclose(np.array(shares.strip(" []\n").split(), float), softmax(said[None])[0], atol=1e-4)


def test_compare_of_an_onnx_file_with_a_model_of_another_tokenizer(folder, rows, tmp_path):
    """Each reads with its own: the student's twin has another vocabulary, in another order, and says the same."""
    twin = tmp_path / "twin"
    shutil.copytree(folder / "student", twin)
    tokenizer = json.loads((twin / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    count = len(vocabulary)
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    words = [word for word in vocabulary if word not in special]
    turned = dict(zip(words, [vocabulary[word] for word in words[1:] + words[:1]], strict=True))
    tokenizer["model"]["vocab"] = special | turned
    (twin / "tokenizer.json").write_text(json.dumps(tokenizer))
    weights = load_file(twin / "model.safetensors")
    (name,) = [name for name in weights if name.endswith("word_embeddings.weight")]
    moved = weights[name].copy()
    for word, index in turned.items():
        moved[index] = weights[name][vocabulary[word]]
    assert len(moved) == count
    save_file(weights | {name: moved}, twin / "model.safetensors", {"format": "pt"})
    table = rows.assign(stars=[["bad", "fair", "good"][index % 3] for index in range(len(rows))])
    table.to_csv(tmp_path / "table.csv", index=False)
    given = [
        "compare",
        "--teacher",
        twin,
        "--student",
        folder / "onnx" / "model.onnx",
        "--data",
        tmp_path / "table.csv",
    ]
    given += ["--text", "text", "--label", "stars", "--max-length", "32", "--json", tmp_path / "out.json"]
    done = CliRunner().invoke(app, list(map(str, given)))
    assert done.exit_code == 1, done.output  # random weights have learnt nothing
    measured = json.loads((tmp_path / "out.json").read_text())
    assert measured["sigma"] == pytest.approx(0, abs=1e-5)
    assert measured["agreement"] == 1
    shutil.copy(folder / "student" / "tokenizer.json", twin)  # read with the other's, it says other things
    CliRunner().invoke(app, list(map(str, given)))
    assert json.loads((tmp_path / "out.json").read_text())["sigma"] > 0.01
