"""The pipeline on one machine: a real DVC project, real processes, the real server."""

import signal
import sys

import pytest

from tests.flows.conftest import Server
from tests.flows.toy import NAMES, TOY_YAML, Span, Toy, alive, entries, params, reproduced, wait_until

pytestmark = pytest.mark.timeout(240)
STAGES = 9


def test_as_dvc_repro_and_then_nothing_to_do(toy: Toy, server: Server) -> None:
    first = toy.pipeline("--workers", "3")  # on a server of its own
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"done: {STAGES} stages: {STAGES} run" in first.stdout
    assert toy.lock == reproduced(toy)
    assert len(toy.started()) == len(set(toy.started())) == STAGES
    toy.reset()
    second = toy.pipeline(**server.environment)
    assert second.returncode == 0
    assert f"done: {STAGES} stages: {STAGES} up to date" in second.stdout
    assert second.stderr.count("Up to date") == STAGES
    assert toy.started() == []


def test_what_has_changed_is_run_and_no_more(toy: Toy, server: Server) -> None:
    toy.check(sys.executable, "-m", "dvc", "repro")
    toy.reset()
    (toy.root / "toy.yaml").write_text(TOY_YAML.replace("layers: 2", "layers: 4"))
    dry = toy.pipeline("--dry")
    assert "distil@a-x: would run\n" in dry.stdout
    assert "train@a: up to date\n" in dry.stdout
    assert "report: would run if its inputs change\n" in dry.stdout
    assert toy.started() == []
    done = toy.pipeline("--workers", "2", **server.environment)
    # The students' text does not depend on `layers`, so that the report is found up to date after they have run.
    assert "done: 9 stages: 2 run, 7 up to date" in done.stdout, done.stdout + done.stderr
    assert set(toy.started()) == {"distil@a-x", "distil@b-x"}


def test_targets_and_force(toy: Toy, server: Server) -> None:
    done = toy.pipeline("train@a", **server.environment)
    assert "done: 2 stages: 2 run" in done.stdout, done.stdout + done.stderr
    assert toy.lock == reproduced(toy, "train@a")
    toy.reset()
    done = toy.pipeline("train@a", "--force", **server.environment)
    assert "done: 2 stages: 2 run" in done.stdout
    assert toy.started() == ["download@a", "train@a"]


def test_what_is_waited_for_is_told(toy: Toy, server: Server) -> None:
    toy.tell("pace", "1")
    impatient = "from flows import pipeline; pipeline.TELL_SECONDS = 1; pipeline.app(['train@a'])"
    done = toy.run(sys.executable, "-c", impatient, **server.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "waiting for train@a\n" in done.stderr


def test_a_name_that_a_shell_would_run_is_refused(toy: Toy) -> None:
    (toy.root / "params.yaml").write_text(params(NAMES | {"movies": "a; touch pwned"}))
    for options in ([], ["--dry"]):
        refused = toy.pipeline(*options)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: params.yaml: tasks: 'a; touch pwned' cannot be a name")
        assert len(refused.stderr.splitlines()) == 1
    assert toy.started() == []
    assert not (toy.root / "pwned").exists()


def test_gpus_that_are_not_there_are_refused(toy: Toy) -> None:
    refused = toy.pipeline(CUDA_VISIBLE_DEVICES="97")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: CUDA_VISIBLE_DEVICES is 97: 0 of these GPUs can be used")
    assert len(refused.stderr.splitlines()) == 1
    assert toy.started() == []


def test_side_by_side_but_one_stage_a_gpu(toy: Toy, server: Server) -> None:
    toy.tell("pace", "0.5")
    toy.tell("pause", "1")
    programs = toy.machine_with_gpus("5", "7")
    done = toy.pipeline("--workers", "4", "--gpus", "1", PATH=programs, **server.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    spans = toy.spans()
    assert [spans[f"train@{task}"].gpus for task in "ab"] == ["5", "5"]
    assert not _overlap(spans["train@a"], spans["train@b"])
    distils = [span for stage, span in spans.items() if stage.startswith("distil")]
    assert any(_overlap(one, other) for one in distils for other in distils if one is not other)


def test_a_failing_stage(toy: Toy, server: Server) -> None:
    toy.tell("fail-train@b")
    done = toy.pipeline(**server.environment)
    assert done.returncode == 1
    assert "failed: train@b; skipped: distil@b-x, distil@b-y, report" in done.stdout
    assert "train@b has failed: train@b: exit status 255: train@b was told to fail" in done.stderr
    assert set(toy.started()) == {
        "download@a",
        "download@b",
        "train@a",
        "train@b",
        "distil@a-x",
        "distil@a-y",
    }
    run = server.flow_run(toy.run_name())
    assert run["state"]["type"] == "FAILED"
    assert "failed: train@b" in run["state"]["message"]
    states = {name: task_run["state_name"] for name, task_run in server.task_runs(run["id"]).items()}
    assert states["train@b"] == "Failed"
    assert states["report"] == states["distil@b-x"] == "Skipped"
    assert states["distil@a-x"] == "Completed"
    toy.reset()
    again = toy.pipeline(**server.environment)
    assert "done: 9 stages: 4 run, 5 up to date" in again.stdout
    assert entries(toy.lock) == entries(reproduced(toy))


def test_what_the_ui_shows(toy: Toy, server: Server) -> None:
    (toy.root / "results/a/x/figures").mkdir(parents=True)
    (toy.root / "results/a/x/figures/figure2-train.png").write_bytes(b"\x89PNG")
    (toy.root / "results/report.html").write_text("<p>a report")
    done = toy.pipeline(**server.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    run = server.flow_run(toy.run_name())
    assert run["state"]["message"] == "9 stages: 9 run"
    artifacts = server.artifacts(run["id"])
    assert artifacts["progress"]["data"] == 100.0
    assert "9 of 9 stages" in artifacts["progress"]["description"]
    assert artifacts["verdicts"]["data"] == (toy.root / "results/table.md").read_text()
    assert "data:image/png;base64,iVBORw==" in artifacts["figure-a-x"]["data"]
    assert (toy.root / "results/report.html").as_uri() in artifacts["report"]["data"]
    task_runs = server.task_runs(run["id"])
    assert set(task_runs["distil@a-x"]["tags"]) == {"task:a", "student:x"}
    assert task_runs["train@b"]["tags"] == ["task:b"]
    wait_until(lambda: "step 4 of 4" in server.log(run["id"]), "the log of the training is at the server")


def test_interrupted_and_gone_on_with(toy: Toy, server: Server) -> None:
    toy.tell("pace", "1.5")
    process = toy.start("--workers", "1", **server.environment)
    wait_until(lambda: list(toy.root.glob("models/*.checkpoint")), "a training is at its first step")
    (running,) = [event.pid for event in toy.trace() if event.stage.startswith("train")]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, toy.output
    assert "interrupted: run the same command again to go on" in toy.output
    assert not alive(running)
    toy.tell("pace", "0")
    done = toy.pipeline(**server.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert toy.lock == reproduced(toy)


def test_one_pipeline_a_clone_and_what_a_killed_one_leaves(toy: Toy, server: Server) -> None:
    toy.tell("pace", "0.5")
    first = toy.start("--workers", "1", "train@a", **server.environment)
    wait_until(lambda: list(toy.root.glob("models/*.checkpoint")), "the training is at its first step")
    toy.tell("pace", "600")
    second = toy.pipeline("train@a", **server.environment)
    assert second.returncode == 2
    owner = f"a pipeline, process {first.pid}"
    assert f"error: {owner} is at work in this clone: wait for its end" in second.stderr
    first.kill()
    first.wait()
    _, killed = server.flow_runs(toy.run_name())
    assert killed["state"]["type"] == "RUNNING"
    third = toy.start("train@a", **server.environment)
    wait_until(lambda: "waiting for the stage that a killed run left" in toy.output, "the third one waits")
    toy.tell("pace", "0")
    assert third.wait(60) == 0, toy.output
    assert toy.lock == reproduced(toy, "train@a")
    *_, killed = server.flow_runs(toy.run_name())
    assert killed["state"]["type"] == "CRASHED"
    assert killed["state"]["message"] == f"{owner}, has ended without a word"
    assert server.task_runs(killed["id"])["train@a"]["state"]["type"] == "CRASHED"


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
