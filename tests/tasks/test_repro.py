"""After a run: what is said of results beside the committed ones."""

import json
import subprocess

import pytest

from confidistill.errors import UserError
from tasks import repro
from tasks.lock import stages_in
from tasks.params import load
from tasks.reproduced import compare
from tests.tiny import ROOT

ENTRY = {
    "cmd": "a",
    "deps": [{"path": "confidistill/a.py", "md5": "1"}, {"path": "data/x", "md5": "1"}],
    "params": {"p": 1},
    "outs": [{"path": "out", "md5": "2"}],
}
OTHER = [{"path": "out", "md5": "3"}]


def results(sigma, accuracy, **trained_in):
    measures = {"sigma": sigma, "accuracy_student": accuracy, "examples": 10}
    return json.dumps({"train": measures, "holds": False, "precision": "bf16", "threads": 1} | trained_in)


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    """A committed metrics.json."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results" / "task" / "student" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(results(0.1, 0.9))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "results"]):
        subprocess.run([*git, *command], check=True)
    return path


def told(capsys, **changes):
    committed, current = (json.dumps({"stages": {"one": one}}) for one in (ENTRY, ENTRY | changes))
    compare(committed, current)
    return capsys.readouterr().out.strip()


def test_the_same_bytes(metrics, capsys):
    assert told(capsys) == "every output has the hash of the committed dvc.lock"


@pytest.mark.parametrize(
    ("sigma", "accuracy", "verdict", "moved", "which"),
    [
        (0.1, 0.9, "same results", "0", ""),
        (0.1077, 0.901, "same results", "0.0077", "train.sigma in results/task/student/metrics.json"),
        (0.101, 0.8, "OTHER RESULTS", "0.1", "train.accuracy_student in results/task/student/metrics.json"),
    ],
)
def test_other_bytes_are_compared_by_their_results(metrics, capsys, sigma, accuracy, verdict, moved, which):
    metrics.write_text(results(sigma, accuracy))
    # The bytes of inputs differ as well, as they do downstream of the first stage that differs.
    line = told(capsys, outs=OTHER, deps=[ENTRY["deps"][0], {"path": "data/x", "md5": "9"}])
    assert line.startswith(f"1 of 1 stages with other bytes than the committed dvc.lock, {verdict}: ")
    assert f"within {moved} of the committed" in line
    assert which in line
    assert "tolerated: 0.01" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("trained_in", "reasons"),
    [
        ({"precision": "fp32"}, "precision auto is fp32, not bf16"),
        ({"threads": 4}, "training takes 4 threads, not 1 thread, here: sigma"),
        ({"threads": None}, "training takes a GPU, not 1 thread"),
        (
            {"precision": "fp32", "threads": 2},
            "precision auto is fp32, not bf16 and training takes 2 threads, not 1 thread",
        ),
    ],
)
def test_what_students_were_trained_in_is_told_and_no_verdict(metrics, capsys, trained_in, reasons):
    metrics.write_text(results(0.15, 0.9, **trained_in))
    line = told(capsys, outs=OTHER)
    assert f"as {reasons}" in line
    assert "within 0.05 of the committed (train.sigma in" in line
    assert "OTHER" not in line


@pytest.mark.parametrize(
    "changes",
    [{"params": {"p": 2}}, {"cmd": "b"}, {"deps": [{"path": "confidistill/a.py", "md5": "7"}]}],
    ids=["parameters", "command", "code"],
)
def test_another_experiment_is_not_compared(metrics, capsys, changes):
    assert told(capsys, outs=OTHER, **changes) == ""


@pytest.mark.parametrize(
    ("lock", "told"),
    [
        ("<<<<<<< HEAD\nstages:\n=======\nstages:\n>>>>>>> other\n", "not YAML at line 2"),
        ("stages: [\n", "not YAML at line 2"),
        ("- one\n", "its stages are no mapping"),
        ("schema: '2.0'\nstages: [a]\n", "its stages are no mapping"),
    ],
)
def test_a_lock_that_is_none_is_one_line(lock, told):
    with pytest.raises(UserError, match=f"^dvc.lock: {told}.*git checkout HEAD dvc.lock"):
        stages_in(lock)


def test_a_lock_of_no_stages():
    assert stages_in("") == stages_in("schema: '2.0'\n") == stages_in("stages:\n") == {}


@pytest.mark.parametrize(("students", "cores", "jobs"), [(2, 2, 2), (2, 64, 4), (2, 1, 1), (1, 64, 2)])
def test_no_more_stages_side_by_side_than_pairs_or_cores(students, cores, jobs, monkeypatch):
    monkeypatch.setattr(repro, "cores", lambda: cores)
    params = load(ROOT / "profiles" / "quickstart.yaml")
    params = params.model_copy(update={"students": dict(list(params.students.items())[:students])})
    assert repro._jobs(["--jobs", "auto", "report"], params) == (jobs, ["report"])
