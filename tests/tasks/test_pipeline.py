"""The whole DVC graph at tiny size: every stage a real process, every output where the contract says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tasks.tables import distillation_table, distillation_text
from tests import tiny


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    assets = tiny.write_assets(tmp_path_factory.mktemp("assets"))
    folder = tiny.write_project(tmp_path_factory.mktemp("project"), assets, seeds=[5], floor={"seeds": [7]})
    done = tiny.run(folder, "tasks.repro")
    (folder.parent / "log").write_text(done.stdout)
    return folder


def test_every_output_is_where_the_contract_says(project):
    for path in [
        "data/raw/plain/train.parquet",
        "data/raw/plain/dev.parquet",
        "data/raw/plain/manifest.json",
        "data/augmented/varied.parquet",
        "data/vectors",
        "data/corpus",
        "data/teacher/plain/train.parquet",
        "data/teacher/varied/augmented.parquet",
        "models/base/model.safetensors",
        "models/mlm/model.safetensors",
        "models/teacher/plain/model.safetensors",
        "models/general/S_2L/projection.safetensors",
        "models/intermediate/plain/S_2L/model.safetensors",
        "models/student/varied/S_2L/model.safetensors",
        "models/student/varied/S_2L/README.md",
        "results/plain/S_2L/metrics.json",
        "results/plain/S_2L/measures.json",
        "results/plain/S_2L/predictions/teacher-train.csv",
        "results/plain/S_2L/predictions/student-dev.csv",
        "results/plots/plain-S_2L/densities.csv",
        "results/plots/plain-S_2L/results.sha256",
        "results/report.html",
        "results/sigma.json",
        "results/table.csv",
        "results/table.md",
    ]:
        assert (project / path).exists(), path
    assert not list((project / "models").rglob("checkpoint-*"))
    assert not list(project.rglob("*.tmp"))


def test_the_counter_names_every_stage_once(project):
    lines = [line for line in (project.parent / "log").read_text().splitlines() if line.startswith("[")]
    assert len(lines) == 25
    assert lines[0].startswith("[1/25] preflight")
    assert lines[-1].startswith("[25/25] report")


def test_the_first_verdict_is_told_before_the_second_pair_is_distilled(project):
    lines = (project.parent / "log").read_text().splitlines()
    metrics = tiny.metrics(project, "plain", "S_2L")
    told = f"plain, S_2L: {metrics['verdict']}: sigma {metrics['train']['sigma']:.4f} on train, kappa 0.05"
    later = next(index for index, line in enumerate(lines) if "distill_intermediate@varied-S_2L" in line)
    assert told in [line.strip() for line in lines[:later]]


def test_metrics_hold_the_keys_of_the_contract(project):
    metrics = tiny.metrics(project, "plain", "S_2L")
    measures = json.loads((project / "results/plain/S_2L/measures.json").read_text())
    assert set(metrics) == {"train", "dev", "holds", "verdict", "protocol", "kappa", "precision", "threads"}
    assert (metrics["precision"], metrics["threads"]) == ("fp32", 1)
    assert set(measures) == {*metrics, "rows_needed"} - {"precision", "threads"} and measures["rows_needed"] == 1197
    headline = {"sigma", "sigma_low", "sigma_high", "accuracy_teacher", "accuracy_student", "agreement"}
    for split in ("train", "dev"):
        assert set(metrics[split]) == headline
        assert all(metrics[split][name] == measures[split][name] for name in headline)
    contract = {
        "accuracy_teacher", "accuracy_student", "ece_teacher", "ece_student", "ece_top_label_teacher",
        "ece_top_label_student", "sigma", "sigma_released", "sigma_max_confidence", "sigma_low", "sigma_high",
        "sigma_upper", "sigma_upper_bernstein", "sigma_upper_hoeffding", "sigma_flips", "sigma_drift", "slope",
        "teacher_confidence", "agreement", "predictive_kl", "bound_paper", "bound_tight", "bound_pinsker", "examples",
    }  # fmt: skip
    assert contract <= set(measures["train"])
    assert measures["train"]["examples"] == 96
    assert measures["dev"]["examples"] == 40
    assert measures["holds"] == (measures["train"]["sigma"] <= measures["kappa"])
    assert 0 < measures["train"]["sigma"] <= measures["train"]["bound_pinsker"]
    assert measures["train"]["accuracy_teacher"] > 0.8  # the task is learnable, so the teacher has learnt it


def test_the_check_command_agrees_with_the_pipeline(project):
    predictions = project / "results/plain/S_2L/predictions"
    tiny.run(
        project, "confidistill.cli", "check", str(predictions / "teacher-train.csv"),
        str(predictions / "student-train.csv"), "--json", "check.json", check=False,
    )  # fmt: skip
    checked = json.loads((project / "check.json").read_text())
    measured = tiny.metrics(project, "plain", "S_2L")["train"]
    assert {name: checked[name] for name in measured} == pytest.approx(measured, abs=1e-5)


def test_a_second_run_runs_no_stage(project):
    before = (project / "dvc.lock").read_bytes()
    assert "0 of 25 stages run, 25 up to date" in tiny.run(project, "tasks.repro").stdout
    assert (project / "dvc.lock").read_bytes() == before


def test_the_counter_counts_what_the_targets_need(project):
    done = tiny.run(project, "tasks.repro", "evaluate@plain-S_2L")
    assert "0 of 13 stages run, 13 up to date" in done.stdout
    done = tiny.run(project, "tasks.repro", "evaluate@plain-S_9L", check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "evaluate@plain-S_9L" in done.stderr


def test_dvc_does_what_its_user_expects(project):
    assert "S_2L" in tiny.run(project, "dvc", "metrics", "show").stdout
    assert "evaluate@plain-S_2L" in tiny.run(project, "dvc", "dag").stdout
    assert "Data and pipelines are up to date" in tiny.run(project, "dvc", "status").stdout
    tiny.run(project, "dvc", "plots", "show")
    assert (project / "dvc_plots" / "index.html").exists()


def would_run(project):
    dry = tiny.run(project, "dvc", "repro", "--dry").stdout
    return [line.split("'")[1] for line in dry.splitlines() if line.startswith("Running stage")]


def test_what_the_report_reads_is_hashed_where_it_looks(project):
    hashed = (project / "results/plots/varied-S_2L/results.sha256").read_text()
    assert subprocess.run(["sha256sum", "--check", "--quiet"], cwd=project, input=hashed, text=True).returncode == 0
    read = {line.split("  ")[1] for line in hashed.splitlines()}
    pair = "results/varied/S_2L"
    assert {
        f"{pair}/predictions/{name}-{split}.csv" for name in ("teacher", "student") for split in ("train", "dev")
    } <= read
    assert {f"{pair}/metrics.json", "data/teacher/varied/dev.parquet", "data/raw/varied/manifest.json"} <= read


def test_the_end_of_a_run_is_the_end_of_its_stage(project):
    command = [sys.executable, "-m", "tasks.repro", "--force", "--single-item", "finetune_teacher@plain"]
    environment = os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)
    assert "finetune_teacher@plain" in run.stdout.readline()

    def stage() -> bool:
        return any("tasks.finetune_teacher" in process.cmdline() for process in started())

    def started() -> list[psutil.Process]:
        return psutil.Process(run.pid).children(recursive=True)

    deadline = time.monotonic() + 60
    while not stage():
        assert time.monotonic() < deadline
    family = started()
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 128 + signal.SIGTERM
    assert psutil.wait_procs(family, timeout=30)[1] == []
    tiny.run(project, "dvc", "repro", "finetune_teacher@plain")  # as it was, from the run-cache


def test_a_pin_runs_the_downloads_of_its_source(project):
    params = (project / "params.yaml").read_text()
    corpus = json.loads((project / "data/pins/corpus.json").read_text())
    assert corpus["kind"] == "path"
    assert json.loads((project / "data/pins/checkpoint-S_2L.json").read_text()) is None
    moved = Path("moved") / Path(corpus["path"]).name
    (project / moved).parent.mkdir()
    (project / moved).write_bytes(Path(corpus["path"]).read_bytes())
    (project / "params.yaml").write_text(params.replace(corpus["path"], str(moved)))
    ran = [line for line in tiny.run(project, "dvc", "repro").stdout.splitlines() if line.startswith("Running stage")]
    (project / "params.yaml").write_text(params)
    tiny.run(project, "dvc", "repro")
    assert [line.split("'")[1] for line in ran] == ["preflight", "download_corpus"]


def test_a_pair_of_another_profile_leaves_no_trace_in_the_lock(project):
    before = (project / "dvc.lock").read_bytes()
    leftover = project / "results/plots/other-S_9L"
    leftover.mkdir()
    (leftover / "densities.csv").write_text("x,density\n")
    assert would_run(project) == ["report"]
    tiny.run(project, "dvc", "repro")
    assert not leftover.exists()
    assert (project / "dvc.lock").read_bytes() == before
    assert would_run(project) == []


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("confidistill/report/page.py", {"report"}),
        ("confidistill/confidence/bounds.py", {"evaluate@plain-S_2L", "evaluate@varied-S_2L", "report"}),
        ("tasks/params.py", set()),
    ],
)
def test_an_edit_reruns_what_is_made_of_it(project, file, stages):
    source = (project / file).read_text()
    (project / file).write_text(source + "\n# seen\n")
    stale = set(would_run(project))
    (project / file).write_text(source)
    assert stale == stages


def test_a_change_of_kappa_evaluates_again_and_trains_nothing(project):
    dry = tiny.run(project, "dvc", "repro", "--dry").stdout
    assert "Running stage" not in dry
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("kappa: 0.05", "kappa: 0.9"))
    stages = [
        line.split("'")[1]
        for line in tiny.run(project, "dvc", "repro", "--dry").stdout.splitlines()
        if "Running" in line
    ]
    counted = tiny.run(project, "tasks.repro", "--dry").stdout
    (project / "params.yaml").write_text(params)
    assert stages == ["preflight", "evaluate@plain-S_2L", "evaluate@varied-S_2L", "report"]
    assert "[25/25] report" in counted
    assert "4 of 25 stages would run, 21 up to date" in counted


def test_an_experiment_can_be_run_shown_and_compared(project):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["add", "-A"], ["commit", "-q", "-m", "results"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    tiny.run(project, "dvc", "exp", "run", "-S", "property.kappa=0.9")
    assert tiny.metrics(project, "plain", "S_2L")["holds"]
    changed = json.loads(tiny.run(project, "dvc", "metrics", "diff", "--json").stdout)
    assert changed["results/plain/S_2L/metrics.json"]["kappa"] == {"old": 0.05, "new": 0.9, "diff": pytest.approx(0.85)}
    params = json.loads(tiny.run(project, "dvc", "params", "diff", "--json").stdout)
    assert params["params.yaml"]["property.kappa"]["new"] == 0.9
    shown = tiny.run(project, "dvc", "exp", "show", "--csv").stdout
    assert "property.kappa" in shown.splitlines()[0]


def test_a_stage_in_a_process_of_its_own_writes_the_bytes_of_a_forked_one(project):
    folder = project / "models/intermediate/plain/S_2L"
    forked = tiny.files_of(folder)
    tiny.run(project, "tasks.distill_intermediate", "plain", "S_2L")
    assert tiny.files_of(folder) == forked


def test_augmented_rows_keep_label_and_origin(project):
    train = pd.read_parquet(project / "data/raw/varied/train.parquet")
    augmented = pd.read_parquet(project / "data/augmented/varied.parquet")
    assert len(augmented) > len(train)
    assert (augmented["label"].to_numpy() == train["label"].to_numpy()[augmented["origin"]]).all()
    first = augmented.groupby("origin").head(1)
    assert first["text"].tolist() == train["text"].tolist()


@pytest.mark.parametrize("task", ["plain", "varied"])
def test_both_stages_learn_from_the_same_rows(project, monkeypatch, task):
    """The first from what the teacher was asked about, the second from its answers."""
    monkeypatch.chdir(project)
    text, table = distillation_text(task), distillation_table(task)
    assert [name for name in table if name not in text] == ["logit0", "logit1"]
    pd.testing.assert_frame_equal(text, table[list(text)])


def test_transfer_text_is_labelled_by_the_teacher_alone_and_judges_nothing(project):
    transfer = pd.read_parquet(project / "data/teacher/varied/transfer.parquet")
    assert set(transfer) == {"text", "logit0", "logit1"}
    assert len(transfer) > 10
    known = [pd.read_parquet(project / f"data/raw/varied/{split}.parquet")["text"] for split in ("train", "dev")]
    assert not set(transfer["text"]) & set(pd.concat(known))
    assert "transfer" not in json.loads((project / "results/varied/S_2L/measures.json").read_text())
    assert [path.name for path in (project / "data/transfer/plain").iterdir()] == ["NONE"]
