"""`tasks.repro --jobs`: stages side by side, by real DVC processes, and what they leave is what `dvc repro` leaves."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.places import cores
from tests.flows.toy import TOY_YAML, Toy, alive, build, reproduced, wait_until

STAGES = 9


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return build(tmp_path)


def repro(toy: Toy, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return toy.run(sys.executable, "-m", "tasks.repro", *arguments, **environment)


def test_as_dvc_repro_only_side_by_side(toy: Toy) -> None:
    toy.tell("pause", "1.5")
    done = repro(toy, "--jobs", "2", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{STAGES} of {STAGES} stages run, 0 up to date" in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [f"[{number}/{STAGES}" for number in range(1, STAGES + 1)]
    assert "    train@a: step 1 of 4\n" in done.stdout
    spans = toy.spans().values()
    assert max(sum(span.start <= begun.start < span.end for span in spans) for begun in spans) == 2
    assert toy.lock == reproduced(toy)


def test_what_has_changed_is_run_and_no_more(toy: Toy) -> None:
    toy.check(sys.executable, "-m", "dvc", "repro")
    toy.reset()
    (toy.root / "toy.yaml").write_text(TOY_YAML.replace("layers: 2", "layers: 4"))
    done = repro(toy, "--jobs", "2", "report")
    assert set(toy.started()) == {"distil@a-x", "distil@b-x"}
    # The students' text does not depend on `layers`, so that the report is found up to date after they have run.
    assert f"2 of {STAGES} stages run, 7 up to date" in done.stdout, done.stdout + done.stderr


def test_a_failing_stage_starts_no_more_and_leaves_what_runs_to_its_end(toy: Toy) -> None:
    toy.tell("fail-train@a")
    toy.tell("pace", "1")
    done = repro(toy, "--jobs", "2", "report")
    assert done.returncode == 2
    assert "train@a: train@a was told to fail\n" in done.stdout
    assert done.stderr == ("error: the pipeline stopped at train@a: mend what it says and run the same command again\n")
    # Stage b is at its download or at its training when a's fails.
    assert {"download@a", "download@b", "train@a"} <= set(toy.started()) <= {*toy.spans(), "train@a"}
    assert "distil@b-x" not in toy.started()


def test_each_has_its_share_of_the_cores(toy: Toy) -> None:
    (toy.root / "dvc.yaml").write_text("stages: {told: {cmd: 'echo $OMP_NUM_THREADS > told', outs: [told]}}\n")
    command = [sys.executable, "-m", "tasks.repro", "--jobs", "2", "told"]
    toy.check("env", "--unset", "OMP_NUM_THREADS", *command)
    assert (toy.root / "told").read_text() == f"{max(1, cores() // 2)}\n"


def test_a_stage_a_gpu(toy: Toy) -> None:
    path = toy.machine_with_gpus("0", "1")
    done = repro(toy, "--jobs", "4", "report", PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    spans = toy.spans()
    assert {spans["train@a"].gpus, spans["train@b"].gpus} == {"0", "1"}
    assert spans["download@a"].gpus == "-"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--jobs", "0"], "--jobs 0: a whole number from 1 up, or auto, is needed"),
        (["--jobs", "two"], "--jobs two: a whole number from 1 up, or auto, is needed"),
        (["--jobs", "2", "--dry"], "--jobs 2 goes with targets alone: leave --dry out, or --jobs"),
        (["--jobs", "2", "train@z"], "train@z"),
    ],
)
def test_what_it_does_not_take_is_one_line(toy: Toy, arguments: list[str], told: str) -> None:
    done = repro(toy, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert toy.started() == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_with_all_that_it_has_started(toy: Toy, number: int, status: int) -> None:
    toy.tell("pace", "60")
    command = [sys.executable, "-m", "tasks.repro", "--jobs", "2", "report"]
    process = subprocess.Popen(command, cwd=toy.root, env=toy.environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: {"train@a", "train@b"} <= set(toy.started()), "both trainings are under way")
    process.send_signal(number)
    assert process.wait(30) == status
    assert "Traceback" not in process.communicate()[1]
    wait_until(lambda: not any(alive(event.pid) for event in toy.trace()), "no stage is left", seconds=10)
    toy.tell("pace", "0")
    again = repro(toy, "--jobs", "2", "report")
    assert again.returncode == 0, again.stdout + again.stderr
    assert toy.lock == reproduced(toy)
