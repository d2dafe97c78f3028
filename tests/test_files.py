"""Files: what JSON cannot say, it says as null, and the pipeline reads it back."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from confidistill.files import atomic_file, json_text
from tasks.pairs import read_measures


def test_an_undefined_measure_is_null_in_the_file_and_nan_when_read(tmp_path):
    metrics = {"train": {"sigma": 0.25, "sigma_released": math.nan, "examples": 3}, "holds": False, "kappa": 0.05}
    path = tmp_path / "metrics.json"
    path.write_text(json_text(metrics))
    assert json.loads(path.read_text())["train"] == {"sigma": 0.25, "sigma_released": None, "examples": 3}
    read = read_measures(path)
    assert math.isnan(read["train"].pop("sigma_released"))
    assert read == {"train": {"sigma": 0.25, "examples": 3}, "holds": False, "kappa": 0.05}


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="Out of range float"):
        json_text({"sigma": math.inf})


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm")
def test_a_file_in_memory_is_a_file():
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "new" / "file"
        with pytest.raises(ZeroDivisionError), atomic_file(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert list(path.parent.iterdir()) == []
        with atomic_file(path) as temporary:
            temporary.write_text("whole")
        assert path.read_text() == "whole"


def test_a_stream_is_written_to_and_never_replaced(tmp_path):
    code = "from confidistill.files import atomic_file as a\nwith a('/dev/stdout') as path: path.write_text('told')"
    with (tmp_path / "output").open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "output").read_text() == "told" and Path("/dev/stdout").is_symlink()


def test_a_terminal_and_a_pipe_are_written_to(tmp_path):
    ends = os.openpty()
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (Path(os.ttyname(ends[1])), pipe):
        with atomic_file(path) as itself:
            assert itself == path
        assert path.exists()
    for end in ends:
        os.close(end)
