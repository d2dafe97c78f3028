"""What a training stage's checkpoints say of how far it is."""

import json
import os
import time

import pytest

from tasks import training_progress


def write(folder, step, losses):
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    history = [{"step": index, "loss": loss} for index, loss in enumerate(losses)]
    state = {"global_step": step, "max_steps": 188, "log_history": history}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("finetune_teacher@movies", ["finetune_teacher", "movies"]),
        ("distill_prediction@SST-2-S_3L", ["distill_prediction", "SST-2", "S_3L"]),
    ],
)
def test_the_newest_whole_checkpoint_of_the_stage_counts(tmp_path, name, parts):
    folder = tmp_path.joinpath(*parts)
    write(folder, 50, [0.7])
    write(folder, 100, [0.7, 0.5])
    write(tmp_path / parts[0] / "other", 150, [0.1])
    (folder / "checkpoint-150").mkdir()
    (folder / "checkpoint-150" / "trainer_state.json").write_text('{"global_step": 1')
    assert training_progress.newest(name, tmp_path) == "step 100 of 188, loss 0.5"


def test_a_stage_without_checkpoints_says_nothing(tmp_path):
    assert training_progress.newest("report", tmp_path) is None
    assert training_progress.newest("finetune_teacher@movies", tmp_path) is None


def test_a_line_for_each_new_checkpoint_and_none_for_an_old_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_progress, "EVERY", 0.02)
    folder = tmp_path / ".checkpoints" / "finetune_teacher" / "movies"
    write(folder, 50, [0.7])
    lines = []
    with training_progress.told("finetune_teacher@movies", lines.append):
        time.sleep(0.1)
        assert lines == []
        for step, expected in ((100, 1), (150, 2)):
            write(folder, step, [0.7, 1 / step])
            deadline = time.monotonic() + 30
            while len(lines) < expected and time.monotonic() < deadline:
                time.sleep(0.02)
    assert lines == ["step 100 of 188, loss 0.01", "step 150 of 188, loss 0.006667"]


def test_sigmas_are_those_of_the_training_that_goes_on_not_of_the_one_before_it(tmp_path):
    name, history = "distill_prediction@SST-2-S_3L", tmp_path / "distill_prediction" / "SST-2" / "S_3L" / "best.json"
    other = tmp_path / "distill_prediction" / "SST-2" / "S_2L" / "best.json"

    def write_history(path, sigmas, at):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{"step": step, "sigma": sigma} for step, sigma in enumerate(sigmas)]))
        os.utime(path, ns=(at, at))

    write_history(history, [0.5, 0.25], at=1_000)
    write_history(other, [0.125], at=1_000)
    seen = training_progress.SigmasOfNow(name, tmp_path)
    assert seen() == []
    write_history(other, [0.125, 0.0625], at=2_000)
    assert seen() == []
    history.unlink()
    assert seen() == []
    write_history(history, [0.75], at=2_000)
    assert seen() == [0.75]
    assert training_progress.SigmasOfNow(name, tmp_path)() == []
    history.write_text(json.dumps([{"step": 1, "accuracy": 0.5}]))  # a training that is not judged by sigma
    assert seen() == []
