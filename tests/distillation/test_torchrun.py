"""Two processes train as one: the same batches, the same history, one writer."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.distillation.stages import STAGES, TRAINING, history, stopping

ALL = STAGES | {"stopping": stopping}


def torchrun(names, assets, output, training):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    module = ["-m", "tests.distillation.stages", names, str(assets), str(output), "plain", json.dumps(asdict(training))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *module], env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def two_processes(assets, tmp_path_factory):
    output = tmp_path_factory.mktemp("two")
    done = torchrun(",".join(ALL), assets, output, TRAINING)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in output.iterdir()) == sorted(ALL)
    return output


@pytest.mark.parametrize("stage", ALL)
def test_history_of_two_processes_is_that_of_one(assets, tmp_path, two_processes, stage):
    """`plain` has no dropout, whose noise differs between processes; the last batch of an epoch is half a batch."""
    one, two = tmp_path / "one", two_processes / stage
    ALL[stage](assets, one, base="plain")
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert history(two, "step") == history(one, "step")
    for key in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose(history(two, key), history(one, key), atol=1e-5, rtol=1e-5)
    shared = load_file(two / "model.safetensors")
    for name, tensor in load_file(one / "model.safetensors").items():
        np.testing.assert_allclose(shared[name], tensor, atol=1e-4, err_msg=name)


def test_a_batch_that_cannot_be_shared(assets, tmp_path):
    done = torchrun("intermediate", assets, tmp_path / "out", replace(TRAINING, batch_size=7))
    assert done.returncode != 0
    assert "batch_size 7 is not a multiple of 2 processes" in done.stderr
    assert list(tmp_path.iterdir()) == []
