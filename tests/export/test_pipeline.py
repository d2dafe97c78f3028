"""The whole chain by `tasks.repro` at tiny size: teacher, student, and both of its variants, judged and shown."""

import json

import numpy as np
import pandas as pd
import pytest

from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from tests import tiny

VARIANTS = ["onnx", "onnx-int8"]
PAIR = "plain-S_2L"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One task and one student, which starts as the teacher's layers: the fewest stages that end in variants."""
    assets = tiny.write_assets(tmp_path_factory.mktemp("assets"))
    content = tiny.params(assets)
    for section, others in (("tasks", "varied"), ("augment", "varied"), ("pairs", "varied-S_2L")):
        del content[section][others]
    content["students"]["S_2L"] |= {"hidden_size": 24, "intermediate_size": 48, "initialisation": "teacher"}
    content["general"]["sequences"] = 0
    content |= {"models": {"base": "base", "mlm": None}, "vectors": None, "corpus": None, "export": VARIANTS}
    folder = tiny.write_clone(tmp_path_factory.mktemp("project"), content)
    (folder.parent / "log").write_text(tiny.run(folder, "tasks.repro", "--jobs", "2").stdout)
    return folder


def logits(project, folder, split):
    return np.load(project / "results/plots/variants" / folder / f"{split}.npy")


def test_each_variant_is_a_model_of_its_own(project):
    log = (project.parent / "log").read_text()
    for variant in VARIANTS:
        assert f"export@{PAIR}-{variant}  at" in log
        assert f"time_export@{PAIR}-{variant}  at" in log
        written = {path.name for path in (project / "models/export/plain/S_2L" / variant).iterdir()}
        assert {"model.onnx", "config.json", "tokenizer.json", "README.md"} <= written
        costs = json.loads((project / "results/plots/costs" / f"{PAIR}-{variant}.json").read_text())
        assert set(costs) == {"teacher", "student", "deployed"}
        assert all(value > 0 for cost in costs.values() for value in cost.values())
    sizes = {name: (project / f"models/export/plain/S_2L/{name}/model.onnx").stat().st_size for name in VARIANTS}
    assert costs["deployed"]["bytes"] == sizes["onnx-int8"]
    assert costs["student"]["bytes"] == (project / "models/student/plain/S_2L/model.safetensors").stat().st_size


def test_the_tables_show_the_chain(project):
    table = pd.read_csv(project / "results/variants.csv").set_index(["variant", "split"])
    metrics = tiny.metrics(project, "plain", "S_2L")
    shown = json.loads((project / "results/sigma.json").read_text())
    for split, name in (("train", "Tr"), ("dev", "dev")):
        teacher = pd.read_parquet(project / f"data/teacher/plain/{split}.parquet")[["logit0", "logit1"]].to_numpy()
        assert table.loc[("pytorch", name), "sigma_teacher"] == pytest.approx(metrics[split]["sigma"], abs=1e-6)
        for variant in VARIANTS:
            said = softmax(logits(project, f"{PAIR}-{variant}", split))
            by_hand = sigma(pairwise_difference(softmax(teacher), said))
            assert table.loc[(variant, name), "sigma_teacher"] == pytest.approx(by_hand, abs=1e-6)
            assert shown[name][f"{PAIR}-{variant}"] == pytest.approx(by_hand, abs=1e-6)
            assert table.loc[(variant, name), "verdict_student"] == table.loc[("pytorch", name), "verdict"]
    assert table.loc[("onnx", "Tr"), "sigma_student"] < 1e-6
    assert table.loc[("onnx-int8", "Tr"), "sigma_student"] > 1e-5
    assert (table.loc["onnx-int8", "bytes"] < table.loc["onnx", "bytes"]).all()


def test_the_verdict_of_the_chain_is_told(project):
    table = pd.read_csv(project / "results/variants.csv").set_index(["variant", "split"])
    row = table.loc[("onnx-int8", "Tr")]
    chain = f"{row['verdict_student']} → {row['verdict']}"
    assert chain in (project / "results/variants.md").read_text()
    page = (project / "results/report.html").read_text()
    assert "As deployed" in page
    assert chain in page
    said = tiny.run(project, "confidistill.cli", "report").stdout
    assert [line for line in said.splitlines() if "onnx-int8" in line and chain in line]


def test_a_second_run_runs_no_stage(project):
    before = (project / "dvc.lock").read_bytes()
    done = tiny.run(project, "tasks.repro").stdout
    count = len([line for line in (project.parent / "log").read_text().splitlines() if line.startswith("[")])
    assert f"0 of {count} stages run, {count} up to date" in done
    assert (project / "dvc.lock").read_bytes() == before
