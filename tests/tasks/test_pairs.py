"""What the report reads of a pair."""

import math

import pytest

from confidistill.errors import UserError
from tasks.pairs import read_measures


def test_what_is_null_is_undefined(tmp_path):
    (tmp_path / "measures.json").write_text('{"train": {"sigma": 0.1, "slope": null}, "kappa": 0.05}')
    read = read_measures(tmp_path / "measures.json")
    assert read["kappa"] == 0.05
    assert read["train"]["sigma"] == 0.1
    assert math.isnan(read["train"]["slope"])


def test_measures_of_a_merge_with_conflicts_are_one_line(tmp_path):
    path = tmp_path / "measures.json"
    path.write_text('{\n<<<<<<< HEAD\n  "kappa": 0.05\n=======\n  "kappa": 0.1\n>>>>>>> other\n}\n')
    with pytest.raises(UserError, match=r"measures\.json: not JSON at line 2: `dvc repro` writes it anew"):
        read_measures(path)
