"""docs/own-data.md does what it says: its example is valid and is fetched, its conversion gives a student."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from confidistill.files import sha256
from tasks.params import load
from tests.tiny import write_model, write_table, write_vectors

ROOT = Path(__file__).parents[2]


def block(language: str) -> str:
    """The document's one block in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / "own-data.md").read_text(), re.DOTALL | re.M)
    return found


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_model(folder)
    return folder


def test_the_example_is_fetched_with_ones_own_files(tmp_path, base):
    (tmp_path / "my" / "reviews").mkdir(parents=True)
    write_table(tmp_path / "my" / "reviews" / "train.csv", 60, seed=1)
    write_table(tmp_path / "my" / "reviews" / "dev.csv", 20, seed=2)
    (tmp_path / "my" / "bert").symlink_to(base)
    write_vectors(tmp_path / "my" / "vectors.txt")
    (tmp_path / "my" / "text.txt").write_text("the film was a story\n" * 50)
    params = tmp_path / "params.yaml"
    params.write_text(block("yaml"))
    assert load(params).profile == "mine"

    refused = python("-m", "tasks.download_data", "reviews", cwd=tmp_path)
    assert refused.returncode == 2
    assert "train.csv: sha256 is " in refused.stderr and "expected 0000" in refused.stderr

    content = YAML(typ="safe").load(params)
    for source in content["sources"].values():
        if "files" in source:
            source["files"] = {name: sha256(tmp_path / source["path"] / name) for name in source["files"]}
        else:
            source["sha256"] = sha256(tmp_path / source["path"])
    YAML(typ="safe").dump(content, params)
    for stage in (["download_data", "reviews"], ["download_models"], ["download_vectors"], ["download_corpus"]):
        done = python("-m", f"tasks.{stage[0]}", *stage[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "data" / "raw" / "reviews" / "train.parquet")) == 60
    manifest = json.loads((tmp_path / "data" / "raw" / "reviews" / "manifest.json").read_text())
    assert manifest["label_names"] == ["bad", "good"]
    fetched = {path.name for path in (tmp_path / "models" / "base").iterdir()}
    assert fetched == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_a_published_checkpoint_is_converted_and_imported(tmp_path, base):
    """A pickle as TinyBERT's authors published them: the pretraining head shares its memory with the embeddings."""
    import torch
    from transformers import AutoConfig, BertConfig, BertModel

    teacher = AutoConfig.from_pretrained(base)
    sizes = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    model = BertModel(BertConfig(**(teacher.to_dict() | sizes)))
    state = {f"bert.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {
        "fit_dense.weight": torch.randn(teacher.hidden_size, 16),
        "fit_dense.bias": torch.randn(teacher.hidden_size),
    }
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    checkpoint = tmp_path / "my" / "tinybert"
    checkpoint.mkdir(parents=True)
    torch.save(state, checkpoint / "pytorch_model.bin")
    done = python("-c", block("python"), cwd=checkpoint)
    assert done.returncode == 0, done.stderr

    content = YAML(typ="safe").load(block("yaml"))
    files = {"model.safetensors": sha256(checkpoint / "model.safetensors")}
    content["sources"]["tinybert"] = {"kind": "path", "path": "my/tinybert", "files": files}
    content["students"]["small"] |= {"hidden_size": 16, "intermediate_size": 32}
    content["students"]["small"] |= {"initialisation": "checkpoint", "checkpoint": "tinybert"}
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base").symlink_to(base)
    for stage in ("download_checkpoint", "general_distill"):
        done = python("-m", f"tasks.{stage}", "small", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    imported = BertModel.from_pretrained(tmp_path / "models" / "general" / "small").state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(imported[name], tensor, rtol=0, atol=0)
