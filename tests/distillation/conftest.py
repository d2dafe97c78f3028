"""Tiny models and tables that every test of distillation shares."""

from pathlib import Path

import pytest

from confidistill.distillation import training as loop
from tests.distillation import stages
from tests.distillation.stages import TRAINING, checkpoints


@pytest.fixture(scope="session")
def assets(tmp_path_factory) -> Path:
    """base/ (4 layers of 24), plain/ (the same without dropout), a student of each, tables with logits, a corpus."""
    return stages.write_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture
def stopped(assets, tmp_path, monkeypatch):
    """A function that runs a stage up to a step, checkpoint of that step included, and gives its checkpoints."""

    def run(stage, step, event="on_step_begin", training=TRAINING, assets=assets, **options):
        def stop(self, args, state, control, **kwargs):
            if state.global_step == step:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop._Flow, event, stop)
            getattr(stages, stage)(assets, tmp_path / "out", training=training, **options)
        return checkpoints(tmp_path / "out")

    return run
