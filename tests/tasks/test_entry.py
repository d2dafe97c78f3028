"""How stages start: what each of those marked for a GPU refuses."""

import importlib

import pytest
from ruamel.yaml import YAML

from tests import tiny

STAGES = YAML(typ="safe").load(tiny.ROOT / "dvc.yaml")["stages"]
ON_A_GPU = [name for name, stage in STAGES.items() if stage.get("do", stage).get("meta") == {"device": "gpu"}]


@pytest.mark.parametrize("stage", ON_A_GPU)
def test_a_gpu_that_is_not_there(stage, monkeypatch, capsys):
    monkeypatch.chdir(tiny.ROOT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(["97"] * 99))
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"tasks.{stage}").main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "0 of these GPUs can be used" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("processor", ["", "-1"])
def test_the_processor_on_purpose(processor, monkeypatch, capsys):
    monkeypatch.chdir(tiny.ROOT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", processor)
    monkeypatch.setattr("sys.argv", ["predict_teacher"])
    with pytest.raises(SystemExit):
        importlib.import_module("tasks.predict_teacher").main()
    assert "usage: python -m tasks.predict_teacher TASK" in capsys.readouterr().err
