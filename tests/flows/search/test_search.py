"""A search of a tiny project, as its user runs it: real trainings, worktrees and experiments, killed and taken up."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from flows.owner import SERVER
from flows.search.findings import measures_of
from flows.search.job import Job, git, open_job
from flows.search.study import Study
from flows.search.trial import Outcome, Trial
from tasks.params import load
from tests import tiny
from tests.flows.conftest import Server, Worker
from tests.flows.toy import Toy, wait_until

pytestmark = pytest.mark.timeout(240)
PAIR = "plain-S_2L"
STUDY = f"{PAIR}-patience"
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
SEARCH = ("flows.search", "plain", "S_2L", "--trials", "2", "--confirm-seeds", "")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """One pair that has learnt its task, run and not committed since; no setting will meet its kappa."""
    assets = tiny.write_assets(tmp_path_factory.mktemp("assets"))
    base = tiny.params(assets)
    folder = tiny.write_project(
        tmp_path_factory.mktemp("project"),
        assets,
        tasks={"plain": base["tasks"]["plain"]},
        augment={"plain": None},
        pairs={PAIR: {"intermediate": {}, "prediction": {}}},
        students={"S_2L": base["students"]["S_2L"] | {"intermediate": {"learning_rate": 3e-3}, "prediction": {}}},
        selection={"share": 0.2, "seed": 42},
        property=base["property"] | {"kappa": 1e-5},
        teacher=base["teacher"] | {"epochs": 12},
        intermediate=base["intermediate"] | {"epochs": 8},
        prediction=base["prediction"] | {"learning_rate": 3e-3, "epochs": 4},
    )
    origin = folder.parent / "pool" / "origin.git"
    git("init", "--quiet", "--bare", "-b", "main", str(origin))
    git("remote", "add", "origin", str(origin), cwd=folder)
    tiny.run(folder, "dvc", "remote", "add", "--default", "shared", "../pool/remote")
    git(*IDENTITY, "commit", "--quiet", "--all", "--message", "DVC remote", cwd=folder)
    git("push", "--quiet", "origin", "HEAD:main", cwd=folder)
    tiny.run(folder, "tasks.repro", f"evaluate@{PAIR}")
    shutil.copytree(folder, folder.with_name("driver"), symlinks=True)
    return folder


def start(project: Path, log: Path, *options: str, **more: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": str(project),
        "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
        "PREFECT_HOME": str(project.parent / "prefect"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **more,
    }
    with log.open("wb") as file:
        command = [sys.executable, "-m", *SEARCH, *options]
        return subprocess.Popen(command, cwd=project, env=environment, stdout=file, stderr=subprocess.STDOUT)


def training(folder: Path) -> psutil.Process | None:
    """The process that trains in a worktree."""
    for process in psutil.process_iter():
        try:
            if "tasks.distill_prediction" in process.cmdline() and process.cwd() == str(folder.resolve()):
                return process
        except psutil.Error:
            continue
    return None


def wait_for_training(folder: Path) -> psutil.Process:
    wait_until(lambda: training(folder), f"a training in {folder}", seconds=120)
    found = training(folder)
    assert found
    return found


def open_study(name: str | None = None) -> Job:
    return open_job("plain", "S_2L", preset="patience", held_out=False, study=name, seed=42)


def test_what_cannot_be_searched_is_one_line(project, monkeypatch):
    done = tiny.run(project, "flows.search", "plain", "S_9L", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: params.yaml: unknown student 'S_9L': it lists S_2L\n"
    monkeypatch.chdir(project)
    for (task, student, preset, study), message in {
        ("movies", "S_2L", "patience", None): "unknown task 'movies'",
        ("plain", "S_2L", "grid", None): "unknown preset 'grid'",
        ("plain", "S_2L", "patience", "a b"): "--study 'a b': use letters",
    }.items():
        with pytest.raises(UserError, match=message):
            open_job(task, student, preset=preset, held_out=False, study=study, seed=42)
    params = Path("params.yaml")
    committed = params.read_text()
    YAML(typ="safe").dump(YAML(typ="safe").load(committed) | {"selection": "dev"}, params)
    with pytest.raises(UserError, match="--held-out: selection: dev holds no part of Tr out"):
        open_job("plain", "S_2L", preset="patience", held_out=True, study=None, seed=42)
    params.write_text(committed.replace("profile: tiny", "profile: other"))
    with pytest.raises(UserError, match=r"params\.yaml has changes that are not committed"):
        open_study()
    params.write_text(committed.replace("kappa: 1e-05", "kappa: 0.2"))
    assert load().property.kappa == 0.2
    git(*IDENTITY, "commit", "--quiet", "--all", "--message", "kappa")
    with pytest.raises(UserError, match=rf"evaluate@{PAIR}.*: not up to date: run `dvc repro evaluate@{PAIR}`"):
        open_study()
    git("reset", "--quiet", "--hard", "HEAD~1")


def test_killed_and_taken_up_it_is_as_if_it_had_not_been(project, monkeypatch):
    worktrees = project / ".dvc" / "tmp" / "search" / STUDY
    first = start(project, project.parent / "first.log")
    its_training = wait_for_training(worktrees / "1")
    (its_server,) = (child for child in psutil.Process(first.pid).children() if SERVER in child.cmdline())
    first.send_signal(signal.SIGKILL)
    its_training.kill()
    first.wait()
    assert its_server.is_running()
    ran = re.findall(r"Running stage '([^']+)'", (project.parent / "first.log").read_text())
    assert ran == [f"distill_prediction@{PAIR}"]  # trial 1's: of the untuned student everything is there
    said = project.parent / "second.log"
    second = start(project, said, "--apply")
    its_training = wait_for_training(worktrees / "1")
    its_training.kill()
    assert second.wait(120) == 1, said.read_text()
    assert not its_server.is_running() or its_server.status() == psutil.STATUS_ZOMBIE
    text = said.read_text()
    assert "trial 1: its training was killed: it goes on" in text, text
    assert "NOT RESTORED: the least sigma(Tr) with the guard kept" in text
    ran = set(re.findall(r"Running stage '([^']+)'", text))
    assert ran == {f"distill_prediction@{PAIR}", f"evaluate@{PAIR}"}  # what the settings touch

    trials = pd.read_csv(project / "results" / "search" / f"{STUDY}.csv")
    assert (trials["trial"].tolist(), set(trials["state"])) == ([0, 1], {"complete"})
    assert trials.loc[1, "sigma_train"] != trials.loc[0, "sigma_train"]
    monkeypatch.chdir(project)
    assert git("worktree", "list").count("\n") == 1
    assert list(worktrees.iterdir()) == []
    applied = git("diff", "-U0", "params.yaml").splitlines()[4:]
    assert bool(applied) == bool(trials.loc[1, "winner"])
    git("checkout", "--quiet", "params.yaml")

    with sqlite3.connect(project.parent / "prefect" / "prefect.db") as database:
        shown_by_prefect = dict(database.execute("select key, data from artifact"))
    artifact = shown_by_prefect["trial-plain-s-2l-patience-1"]
    assert f"prediction.epochs: {trials.loc[1, 'prediction.epochs']:.0f}" in artifact
    assert f"train: sigma {trials.loc[1, 'sigma_train']:.4f}" in artifact

    # What was drawn is what a search that nobody interrupts draws.
    (untuned, tried) = Study(open_study(), None).findings.trials
    uninterrupted = Study(open_study("again"), None)
    uninterrupted.next()
    uninterrupted.tell(0, Outcome("complete", 1.0, measures_of(untuned)))
    assert uninterrupted.next().settings == uninterrupted.findings.settings_of(tried)

    # The experiment is there; what it holds stands in the clone, and nothing is trained for it again.
    shown = tiny.run(project, "dvc", "exp", "show", "--csv").stdout
    assert f"{STUDY}-0" in shown and f"{STUDY}-1" in shown
    tiny.run(project, "dvc", "exp", "apply", f"{STUDY}-1", check=False)  # the report was never made, and isn't there
    assert load().prediction_of("plain", "S_2L").epochs == trials.loc[1, "prediction.epochs"]
    done = tiny.run(project, "dvc", "repro", f"evaluate@{PAIR}")
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["preflight"]
    measured = tiny.metrics(project, "plain", "S_2L")
    assert measured["train"]["sigma"] == pytest.approx(trials.loc[1, "sigma_train"], abs=1e-12)
    git("checkout", "--quiet", "params.yaml")


def test_what_fresh_seeds_refute_is_passed_over(project, monkeypatch):
    """Trial 1 is said to hold; at fresh seeds it is trained, fails, and the search goes on to the end of its trials."""
    monkeypatch.chdir(project)
    tiny.run(project, "dvc", "repro", f"evaluate@{PAIR}")
    study = Study(open_study("refuted"), None)
    evaluated = json.loads((project / "results" / "plain" / "S_2L" / "measures.json").read_text())
    untuned = {split: measured for split, measured in evaluated.items() if isinstance(measured, dict)}
    lucky = untuned | {"train": untuned["train"] | {"sigma": 1e-6}}
    for number, measures in enumerate((untuned, lucky)):
        study.next()
        study.tell(number, Outcome("complete", 1.0, measures))
    study.confirm(study.findings.trials[0], 1, untuned)
    study.confirm(study.findings.trials[0], 2, untuned)
    said = project.parent / "refuted.log"
    options = ("--study", "refuted", "--trials", "3", "--confirm-seeds", "1,2,3")
    assert start(project, said, *options).wait(200) == 1, said.read_text()
    text = said.read_text()
    (refutation,) = (
        line for line in text.splitlines() if "refuted-1: REFUTED: it holds at the search's seed, but" in line
    )
    assert re.findall(r"seed (\d): sigma\(Tr\) 0\.\d+ > 1e-05", refutation) == ["1", "2", "3"]
    assert text.index("refuted-2: ") > text.index(refutation)
    assert "\nwinner: refuted-1: " in text  # it has held once, where trial 2 never did
    assert "\nNOT RESTORED: it holds at the search's seed, but seed 1" in text
    trials = pd.read_csv(project / "results" / "search" / "refuted.csv")
    assert trials["refuted"].tolist() == [False, True, False]
    kept = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").split()
    fresh = {"refuted-1-seed-1", "refuted-1-seed-2", "refuted-1-seed-3", "refuted-untuned-seed-3"}
    assert {name for name in kept if name.startswith("refuted-")} == {"refuted-2", *fresh}


def test_a_pruned_training_is_ended_with_its_processes(project, monkeypatch):
    monkeypatch.chdir(project)
    tiny.run(project, "dvc", "repro", f"evaluate@{PAIR}")
    job = open_study("pruned")
    trial = Trial(job, "7", {"prediction.epochs": 500})
    seen: list[int] = []
    outcome = trial.run(lambda line: None, lambda sigmas: seen.append(len(sigmas)) or len(sigmas) >= 2, {})
    assert (outcome.state, outcome.measures) == ("pruned", None), outcome
    assert 2 <= seen[-1] < 500
    assert training(trial.folder) is None
    assert not git("for-each-ref", "refs/exps/*/*/pruned-7")
    trial.remove()
    assert not trial.folder.exists()
    assert git("worktree", "list").count("\n") == 1


@dataclass(frozen=True)
class World:
    """A server, a worker in a clone of its own, and a driver whose clone has none of the trials of `project`."""

    server: Server
    driver: Toy
    worker: Worker

    def search(self) -> subprocess.Popen[bytes]:
        options = ("--study", "pool", "--gpu-pool", "gpu", "--patience", "12")
        return start(self.driver.root, self.log, *options, **self.server.environment)

    @property
    def log(self) -> Path:
        return self.driver.control / "log"

    def sent(self) -> bool:
        """Whether the search that was started last has sent a stage out."""
        return "sent to work pool gpu: flow run" in self.log.read_text()

    def states(self, stage: str) -> list[str]:
        """Of the flow runs of a stage of the pair."""
        return sorted(run["state_type"] for run in self.server.flow_runs(f"{stage}@{PAIR}"))


@pytest.fixture(scope="module")
def world(project: Path, server: Server) -> Iterator[World]:
    driver = Toy(project.with_name("driver"), project.parent / "pool" / "control", server.home)
    driver.control.mkdir()
    server.prefect("work-pool", "create", "gpu", "--type", "process", "--overwrite")
    server.prefect("deploy", "--name", "stage", cwd=driver.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        worker = Worker("worker", server, driver.clone("worker"))
        worker.start()
        yield World(server, driver, worker)
        worker.kill()
    print(worker.log.read_text())  # for pytest to show where a test fails


def test_over_a_work_pool_it_finds_the_same(project: Path, world: World) -> None:
    """Interrupted, then killed while a stage of its waits for a worker; what is finished meanwhile isn't run again."""
    here = project / "results" / "search" / f"{STUDY}.csv"
    if not here.exists():
        start(project, project.parent / "here.log").wait(120)
    world.worker.kill()
    refusal = project.parent / "refused.log"
    refused = start(project, refusal, "--study", "other", "--gpu-pool", "elsewhere", **world.server.environment)
    interrupted = world.search()
    assert refused.wait(120) == 2
    (error,) = (line for line in refusal.read_text().splitlines() if line.startswith("error: "))
    assert error.startswith("error: no deployment of the flow 'stage' is on a work pool called 'elsewhere'")
    wait_until(world.sent, "a trial's stage is sent out")
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(60) == 130, world.log.read_text()
    assert world.states("distill_prediction") == ["CANCELLED"]
    killed = world.search()
    wait_until(world.sent, "it is sent out again")
    killed.kill()
    killed.wait()
    world.worker.start()
    both = ["CANCELLED", "COMPLETED"]
    wait_until(lambda: world.states("distill_prediction") == both, "the worker has run what the killed one sent")
    assert world.search().wait(120) == 1, world.log.read_text()
    assert world.states("distill_prediction") == both
    assert world.states("evaluate") == ["COMPLETED"]
    assert "trial:pool-1" in world.server.flow_run(f"evaluate@{PAIR}")["tags"]
    assert "Running stage" not in world.log.read_text()  # nothing is run where the driver is

    found, expected = (pd.read_csv(path) for path in (world.driver.root / "results/search/pool.csv", here))
    same = [name for name in expected if name not in ("experiment", "seconds")]
    pd.testing.assert_frame_equal(found[same], expected[same], check_exact=True)
    assert git("for-each-ref", "refs/exps/*/*/pool-1", cwd=world.driver.root)
    assert git("worktree", "list", cwd=world.driver.root).count("\n") == 1


PRUNED = """\
import json
from functools import partial
from prefect import flow, task
from flows import remote
from flows.search.flow import _send
from flows.search.job import open_job
from flows.search.trial import Trial

seen = []

def stops(sigmas):
    seen.append(sigmas)
    return len(sigmas) >= 2

@task
def run(pool):
    outcome = trial.run(print, stops, {}, partial(_send, pool, trial, print))
    trial.remove()
    print("pruned:", outcome.state, outcome.measures, outcome.reason, json.dumps(seen[-1]))

@flow
def search():
    run(remote.find("gpu", 6))

job = open_job("plain", "S_2L", preset="patience", held_out=False, study="pruned", seed=42)
trial = Trial(job, "7", {"prediction.epochs": 500})
search()
"""


def test_a_pruned_trial_is_cancelled_on_the_pool(world: World) -> None:
    said = world.driver.check(sys.executable, "-c", PRUNED, **world.server.environment)
    (pruned,) = (line for line in said.splitlines() if line.startswith("pruned: "))
    _, state, measures, _, epoch, sigmas = pruned.split(maxsplit=5)
    assert (state, measures, int(epoch)) == ("pruned", "None", len(json.loads(sigmas)))
    stage = f"distill_prediction@{PAIR}"
    wait_until(lambda: world.server.flow_run(stage)["state_type"] == "CANCELLED", "the worker has ended the flow run")
    assert training(world.worker.clone.root) is None
    history = world.worker.clone.root / ".checkpoints" / "distill_prediction" / "plain" / "S_2L" / "best.json"
    measured = [row["sigma"] for row in json.loads(history.read_text())]
    assert measured[: int(epoch)] == json.loads(sigmas)  # to the last digit
    assert 2 <= int(epoch) <= len(measured) < 500
