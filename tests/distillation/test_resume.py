"""Killed and run again: a training stage goes on from its last checkpoint and ends with the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch

from confidistill.distillation.checkpoints import COMPLETE
from confidistill.distillation.trainer import StepTrainer
from tests.distillation import stages
from tests.distillation.stages import ROWS, TRAINING, checkpoints, contents

LONG = replace(TRAINING, epochs=8)
STEPS = 8 * -(-ROWS // LONG.batch_size)


def kill_in_the_middle(stage, assets, output):
    """Start the stage as a process, kill -9 it once it has a checkpoint; the step of its newest one."""
    command = [sys.executable, "-m", "tests.distillation.stages", stage, str(assets), str(output.parent), "base"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([*command, json.dumps(asdict(LONG))], env=environment)
    while not (found := list(checkpoints(output).glob(f"checkpoint-*/{COMPLETE}"))) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the stage ended before it was killed"
    assert found
    assert not output.exists()
    return max(int(path.parent.name.split("-")[1]) for path in checkpoints(output).glob(f"*/{COMPLETE}"))


@pytest.fixture
def steps_run(monkeypatch):
    """The steps that this process really trains."""
    steps = []
    compute_loss = StepTrainer.compute_loss

    def counted(self, *args, **kwargs):
        steps.append(self.state.global_step)
        return compute_loss(self, *args, **kwargs)

    monkeypatch.setattr(StepTrainer, "compute_loss", counted)
    return steps


@pytest.mark.parametrize("stage", stages.STAGES)
def test_killed_and_run_again(assets, tmp_path, steps_run, stage):
    stages.STAGES[stage](assets, tmp_path / "whole", training=LONG)
    assert steps_run == list(range(STEPS))
    steps_run.clear()
    step = kill_in_the_middle(stage, assets, tmp_path / "killed" / stage)
    stages.STAGES[stage](assets, tmp_path / "killed" / stage, training=LONG)
    assert steps_run == list(range(step, STEPS))
    assert contents(tmp_path / "killed" / stage) == contents(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [stage]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [2, 5, 6, 7, 11])
def test_every_place_in_an_epoch(assets, tmp_path, stopped, step, precision):
    """Six steps an epoch, a checkpoint every two: in an epoch, at its end, right after it, near the end of the run."""
    training = replace(TRAINING, precision=precision)  # dropout's random numbers differ, too
    stopped("prediction", step, training=training)
    stages.prediction(assets, tmp_path / "out", training=training)
    stages.prediction(assets, tmp_path / "whole", training=training)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["teacher", "prediction"])
def test_checkpoints_of_other_class_names_are_discarded(assets, tmp_path, monkeypatch, stopped, steps_run, stage):
    """The names are written into the model's configuration."""
    stopped(stage, 4)
    monkeypatch.setattr(stages, "LABELS", ["no", "yes"])
    steps_run.clear()
    stages.STAGES[stage](assets, tmp_path / "out")
    assert steps_run == list(range(12))


@pytest.mark.parametrize("stage", stages.STAGES)
def test_killed_after_the_last_step(assets, tmp_path, stopped, steps_run, stage):
    stopped(stage, 12, event="on_epoch_end")
    assert not (tmp_path / "out").exists()
    steps_run.clear()
    stages.STAGES[stage](assets, tmp_path / "out")
    assert steps_run == []
    stages.STAGES[stage](assets, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_evaluation_that_is_repeated_counts_once(assets, tmp_path, stopped):
    """Evaluated after step 6 and killed before the next checkpoint: step 6 is trained and evaluated again."""
    training = replace(TRAINING, checkpoint_steps=4)
    stopped("prediction", 7, training=training)
    stages.prediction(assets, tmp_path / "out", training=training)
    stages.prediction(assets, tmp_path / "whole", training=training)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert len(stages.history(tmp_path / "out", "dev_mcc")) == 2


@pytest.mark.parametrize("every", [2, 4, 100])
def test_averaged_weights_are_those_of_an_uninterrupted_run(assets, tmp_path, stopped, every):
    """Of four epochs the last three; taken up an epoch back, or from the beginning."""
    training = replace(TRAINING, checkpoint_steps=every, epochs=4)
    stopped("prediction", 20, training=training, average=3)
    stages.prediction(assets, tmp_path / "out", training=training, average=3)
    stages.prediction(assets, tmp_path / "whole", training=training, average=3)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("step", "event"), [(3, "on_step_begin"), (6, "on_epoch_end")])
@pytest.mark.parametrize("every", [4, 5])
def test_a_run_that_ends_early_does_so_when_it_is_taken_up(assets, tmp_path, stopped, steps_run, step, event, every):
    """It would have 12 steps and ends after 6; killed before that, and between that and what is kept of it."""
    training = replace(TRAINING, checkpoint_steps=every)
    stopped("stopping", step, event=event, training=training)
    steps_run.clear()
    stages.stopping(assets, tmp_path / "out", training=training)
    assert steps_run == {3: [0, 1, 2, 3, 4, 5], 6: []}[step]
    stages.stopping(assets, tmp_path / "whole", training=training)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert stages.history(tmp_path / "out", "step")[-2:] == [6, 6]


def test_a_checkpoint_written_in_part_is_passed_over(assets, tmp_path, stopped, steps_run):
    folder = stopped("intermediate", 6)
    assert {path.name for path in folder.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    (folder / "checkpoint-6" / COMPLETE).unlink()
    (folder / "checkpoint-6" / "model.safetensors").write_bytes(b"cut off")
    steps_run.clear()
    stages.intermediate(assets, tmp_path / "out")
    assert steps_run == list(range(4, 12))
    stages.intermediate(assets, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("changed", ["settings", "table", "weights", "code"])
def test_checkpoints_of_other_inputs_are_discarded(assets, tmp_path, monkeypatch, stopped, steps_run, changed):
    stopped("intermediate", 4)
    own = tmp_path / "own"
    shutil.copytree(assets, own)
    training = TRAINING
    if changed == "settings":
        training = replace(TRAINING, learning_rate=1e-3)
    elif changed == "table":
        table = pd.read_parquet(own / "train.parquet")
        table.assign(text=table["text"].str.replace("film", "plot")).to_parquet(own / "train.parquet")
    elif changed == "weights":
        stages.general(assets, own / "base-student", training=replace(TRAINING, seed=9))
    else:
        (tmp_path / "losses.py").write_text("# another revision\n")
        monkeypatch.setattr("confidistill.distillation.intermediate.code_behind", lambda _: [tmp_path / "losses.py"])
    steps_run.clear()
    stages.intermediate(own, tmp_path / "out", training=training)
    assert steps_run == list(range(12))
    stages.intermediate(own, tmp_path / "fresh", training=training)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_checkpoints_load_without_unpickling_code(stopped):
    folder = stopped("intermediate", 2) / "checkpoint-2"
    assert (folder / "model.safetensors").exists()
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.load(folder / name, weights_only=True)
