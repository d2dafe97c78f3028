"""Files: what JSON cannot say, it says as null, and the pipeline reads it back."""

import json
import math

import pytest

from confidistill.files import json_text
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
