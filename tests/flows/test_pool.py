"""Stages sent to a work pool: a server, two workers in clones of their own, a DVC remote; what may go wrong."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.flows.conftest import PROJECT, Server, Worker, kill_tree
from tests.flows.toy import NAMES, TOY_YAML, Toy, alive, build, entries, params, reproduced, wait_until

pytestmark = pytest.mark.timeout(400)
TO_POOL = ("--gpu-pool", "gpu", "--patience", "12")
TRIED_IN_VAIN = "Task run failed with exception: StageError"


@dataclass(frozen=True)
class World:
    server: Server
    driver: Toy
    workers: tuple[Worker, Worker]

    def change(self, seed: int) -> None:
        """A new revision in which both train stages are stale; the control folder is empty."""
        self.driver.reset()
        for worker in self.workers:
            (worker.clone.root / "models/a.checkpoint").unlink(missing_ok=True)
        self.driver.commit(params__yaml=params(NAMES), toy__yaml=TOY_YAML.replace("seed: 1", f"seed: {seed}"))

    def pipeline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.driver.pipeline(*TO_POOL, *arguments, **self.server.environment)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A pipeline in the background, killed if the test fails; its output is then shown."""
        process = self.driver.start(*TO_POOL, *arguments, **self.server.environment)
        try:
            yield process
        except BaseException:
            kill_tree(process.pid)
            process.wait()
            print(self.log())
            raise

    def finished(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit status and output of a pipeline that was started."""
        return process.wait(180), self.driver.output

    def log(self) -> str:
        """What the pipeline in the background and the workers have printed so far."""
        return self.driver.output + "".join(self.workers_log())

    def workers_log(self) -> list[str]:
        """What each worker has printed so far."""
        return [worker.log.read_text() for worker in self.workers]

    def pushed(self) -> int:
        """How often workers have pushed a stage's results."""
        return len(re.findall(r"push_results-\w+' - Finished in state Completed", self.log()))

    @contextmanager
    def remote_away(self) -> Iterator[Callable[[], None]]:
        """Nobody reaches the DVC remote before the function is called."""
        remote = self.driver.root.parent / "remote"
        away = remote.with_name("away")
        remote.mkdir(exist_ok=True)
        remote.rename(away)
        remote.write_text("not a folder")  # where there is nothing, DVC would make one

        def comes_back() -> None:
            if away.exists():
                remote.unlink()
                away.rename(remote)

        try:
            yield comes_back
        finally:
            comes_back()

    def steps(self, task: str) -> int:
        """How many steps the training of a task has behind it, on whichever worker."""
        checkpoints = [worker.clone.root / f"models/{task}.checkpoint" for worker in self.workers]
        return sum(len(path.read_text().split()) for path in checkpoints if path.exists())


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    driver = build(tmp_path_factory.mktemp("world"))
    server.deploy(PROJECT)
    workers = tuple(Worker(name, server, driver.clone(name)) for name in ("first", "second"))
    for worker in workers:
        worker.start()
    yield World(server, driver, workers)
    for worker in workers:
        worker.kill()


def test_same_dvc_lock_as_a_local_run(world: World) -> None:
    done = world.pipeline()
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.driver.lock == reproduced(world.driver)
    events = world.driver.trace()
    assert len(events) == len({event.stage for event in events}) == 9
    for event in events:
        elsewhere = event.stage.startswith("train")
        assert (event.folder in ("first", "second")) == elsewhere, event


def test_a_killed_worker_is_replaced(world: World) -> None:
    world.change(seed=2)
    world.driver.tell("pace", "1")
    with world.start("distil@a-x") as process:
        wait_until(lambda: world.steps("a") >= 2, "the training is at its second step")
        (event,) = [event for event in world.driver.trace() if event.stage == "train@a"]
        (lost,) = [worker for worker in world.workers if worker.name == event.folder]
        lost.kill()
        world.driver.tell("pace", "0")
        status, output = world.finished(process)
    lost.start()
    assert status == 0, output
    assert "its worker was lost" in output
    assert {event.folder for event in world.driver.trace() if event.stage == "train@a"} == {"first", "second"}
    assert entries(world.driver.lock)["train@a"] == entries(reproduced(world.driver, "distil@a-x"))["train@a"]


def test_the_server_is_restarted(world: World) -> None:
    world.change(seed=3)
    world.driver.tell("pace", "2")
    with world.start("distil@a-x") as process:
        wait_until(lambda: world.steps("a") >= 1, "the training is at its first step")
        world.server.kill()
        world.server.start()
        status, output = world.finished(process)
    assert status == 0, output
    assert world.driver.started().count("train@a") == 1
    assert entries(world.driver.lock)["distil@a-x"] == entries(reproduced(world.driver, "distil@a-x"))["distil@a-x"]


def test_the_remote_is_away_for_a_while(world: World) -> None:
    world.change(seed=4)
    with world.remote_away() as comes_back, world.start("train@a") as process:
        wait_until(lambda: TRIED_IN_VAIN in world.log(), "a transfer waits for another try")
        world.driver.tell("pace", "1")
        comes_back()
        wait_until(lambda: world.steps("a") >= 1, "the training is at its first step")
        tries = world.log().count(TRIED_IN_VAIN)
        with world.remote_away() as comes_back_again:
            wait_until(lambda: world.log().count(TRIED_IN_VAIN) > tries, "the results wait for another try")
            comes_back_again()
        status, output = world.finished(process)
    assert status == 0, output
    assert world.driver.started().count("train@a") == 1


def test_a_stage_fails_for_good(world: World) -> None:
    world.change(seed=5)
    world.driver.tell("fail-train@b")
    done = world.pipeline()
    assert done.returncode == 1
    assert "train@b was told to fail" in done.stderr
    assert "skipped: distil@b-x, distil@b-y, report" in done.stdout
    assert {"distil@a-x", "distil@a-y"} <= set(world.driver.started())


def test_an_interrupted_driver_calls_its_stages_back(world: World) -> None:
    world.change(seed=7)
    world.driver.tell("pace", "600")
    with world.start("train@a") as process:
        wait_until(lambda: "train@a" in world.driver.started(), "the training runs")
        process.send_signal(signal.SIGINT)
        status, output = world.finished(process)
    assert status == 130, output
    (event,) = [event for event in world.driver.trace() if event.stage == "train@a"]
    wait_until(lambda: not alive(event.pid), "the worker has ended the training")


def test_a_killed_driver_loses_nothing(world: World) -> None:
    world.change(seed=6)
    world.driver.tell("pace", "0.5")
    with world.start("train@a") as process:
        wait_until(lambda: world.steps("a") >= 1, "the training is at its first step")
        pushed = world.pushed()
        kill_tree(process.pid)
        process.wait()
    wait_until(lambda: world.driver.trace("end"), "the training is over")
    wait_until(lambda: world.pushed() > pushed, "its results are in the remote")
    again = world.pipeline("train@a")
    assert again.returncode == 0, again.stdout + again.stderr
    assert world.driver.started().count("train@a") == 1
    assert entries(world.driver.lock)["train@a"] == entries(reproduced(world.driver, "train@a"))["train@a"]


def test_a_revision_that_is_not_on_origin(world: World) -> None:
    world.change(seed=8)
    driver, origin = world.driver, world.driver.root.parent / "origin.git"
    driver.commit(push=False, toy__yaml=TOY_YAML.replace("seed: 1", "seed: 9"))
    revision = driver.check("git", "rev-parse", "HEAD").strip()
    refused = world.pipeline()
    assert refused.returncode == 2
    error = f"error: workers get revision {revision[:12]} from origin, which"
    assert f"{error} has not got it: `git push` it first\n" in refused.stderr
    origin.rename(origin.with_name("away"))
    refused = world.pipeline()
    origin.with_name("away").rename(origin)
    assert f"{error} does not say that it has it: fatal: '{origin}' does not appear to be a" in refused.stderr
    assert driver.started() == []

    before = world.workers_log()
    parameters = json.dumps({"name": "train@a", "revision": revision, "lock": ""})
    world.server.prefect("deployment", "run", "stage/stage", "--params", parameters)

    def said() -> str:
        return "".join(now.removeprefix(then) for now, then in zip(world.workers_log(), before, strict=True))

    wait_until(lambda: "Finished in state Failed" in said(), "a worker has said what is wrong")
    wait_until(lambda: not any(worker.busy() for worker in world.workers), "the flow run's process has ended")
    assert f"origin has no revision {revision}: `git push` it before it can run on a work pool" in said()
    assert "Traceback" not in said()


def test_a_worker_refuses_what_dvc_yaml_does_not_define(world: World) -> None:
    world.change(seed=10)
    revision = world.driver.check("git", "rev-parse", "HEAD").strip()
    world.driver.commit(params__yaml=params(NAMES | {"movies": "a; touch pwned"}))
    shell = world.driver.check("git", "rev-parse", "HEAD").strip()
    names = ["train@a; touch pwned", "--force", "report/../x", ""]
    trials: list[tuple[str, object]] = [
        ("distil@a-x", {"sources": {"movies": {"kind": "path"}}}),
        ("distil@a-x", {"prediction": {"epochs": "4; touch pwned"}}),
        ("distil@a-x", {"prediction": {"command": "touch pwned"}}),
        ("train@a", {"prediction": {"epochs": 4}}),
    ]
    asked: list[tuple[str, str, object]] = [*((name, revision, None) for name in names)]
    asked += [("download@a; touch pwned", shell, None), *((name, revision, settings) for name, settings in trials)]
    call = (
        "from flows.stage import stage\n"
        f"for name, revision, settings in {asked!r}:\n"
        "    state = stage(name, revision, '', settings=settings, return_state=True)\n"
        "    print(state.type.value, state.message)"
    )
    clone = world.workers[0].clone
    said = clone.check(sys.executable, "-c", call, **world.server.environment).splitlines()
    assert said[:4] == [f"FAILED refused: dvc.yaml of {revision} defines no stage {name!r}" for name in names]
    assert said[4].startswith("FAILED params.yaml: tasks: 'a; touch pwned' cannot be a name")
    section, value, key, pair = said[5:]
    assert section == "FAILED refused: 'sources' is none of intermediate, prediction, which a trial may change"
    assert value.startswith("FAILED params.yaml: ") and "epochs" in value
    assert key.startswith("FAILED params.yaml: ") and "command" in key
    assert pair == "FAILED refused: 'train@a' is of no pair of params.yaml, and other settings are a pair's"
    assert not (clone.root / "pwned").exists()


def test_a_stage_that_no_worker_takes_is_told_of(world: World) -> None:
    """On the pool `cpu`, which has no worker; a run that is cancelled is waited for no longer."""
    program = """\
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.states import Cancelled
from flows import remote

sent = run_deployment("pipeline/pipeline", timeout=0)

def log(line):
    print(line)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(sent.id, Cancelled(), force=True)

print(remote._follow(sent, remote.Pool("cpu", sent.deployment_id, "", 1), log, lambda sigmas: False).type)
"""
    done = world.driver.run(sys.executable, "-c", program, **world.server.environment)
    told = "Scheduled for 1 s: is a worker of cpu alive, and free?\nStateType.CANCELLED\n"
    assert done.stdout == told, done.stdout + done.stderr
