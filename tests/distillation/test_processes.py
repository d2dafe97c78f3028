"""`processes: 2` in params.yaml: a stage's own command starts itself under torchrun."""

import json
import shutil
import sys

import numpy as np
import pytest
from ruamel.yaml import YAML

from tasks.general_distill import main
from tests import tiny


@pytest.fixture
def project(tmp_path):
    """What general distillation needs of a project; no dropout, whose noise differs between processes."""
    assets = tiny.write_assets(tmp_path / "assets")
    config = assets / "base" / "config.json"
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | quiet))
    folder = tmp_path / "project"
    shutil.copytree(assets / "base", folder / "models" / "base")
    (folder / "data" / "corpus").mkdir(parents=True)
    shutil.copy(assets / "corpus.txt", folder / "data" / "corpus")
    for code in ("confidistill", "tasks"):
        shutil.copytree(tiny.ROOT / code, folder / code)
    return folder


def write_params(project, processes):
    params = tiny.params(project.parent / "assets", processes=processes)
    params["general"]["sequences"] = 72  # four batches of 16 and a half
    YAML(typ="safe").dump(params, project / "params.yaml")


def history(project):
    rows = json.loads((project / "models" / "general" / "S_2L" / "history.json").read_text())
    return [row for row in rows if "loss" in row]


def refuse_to_pack_under_torchrun(project):
    """Make the project's own packing fail where torchrun has started the process."""
    corpus = project / "confidistill" / "text" / "corpus.py"
    start = "    if length < 3:\n"
    assert start in corpus.read_text()
    refusal = f'    assert "LOCAL_RANK" not in __import__("os").environ, "packing keeps the others waiting"\n{start}'
    corpus.write_text(corpus.read_text().replace(start, refusal))


def test_two_processes_train_as_one(project, monkeypatch):
    """The corpus is packed before there are two, so that neither waits for the other."""
    refuse_to_pack_under_torchrun(project)
    write_params(project, processes=2)
    done = tiny.run(project, "tasks.general_distill", "S_2L")
    assert "error" not in done.stderr
    two = history(project)
    assert [path.name for path in (project / "models" / "general").iterdir()] == ["S_2L"]
    assert not list((project / ".checkpoints" / "general_distill").iterdir())

    write_params(project, processes=1)
    shutil.rmtree(project / "models" / "general")
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["general_distill", "S_2L"])
    main()
    one = history(project)
    assert [row["step"] for row in two] == [row["step"] for row in one]
    assert one[-1]["step"] == 5
    for key in ("loss", "grad_norm"):
        np.testing.assert_allclose([row[key] for row in two], [row[key] for row in one], atol=1e-5)
