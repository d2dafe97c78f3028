"""A clone's tables and models as the benches look for them, tiny."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench import synthetic
from bench.shapes import STUDENTS, Shape
from confidistill.augmentation.vectors import convert
from tests.tiny import write_model, write_table, write_vectors


@pytest.fixture(scope="session")
def assets(tmp_path_factory) -> Path:
    """The models and vectors of synthetic text."""
    folder = tmp_path_factory.mktemp("assets")
    synthetic.write_models(folder)
    return folder


@pytest.fixture(scope="session")
def a_run(tmp_path_factory, assets) -> Path:
    """What a finished quickstart leaves, of one task `toy`."""
    folder = tmp_path_factory.mktemp("run")
    write_model(folder / "models/base")
    write_model(folder / "models/mlm", layers=1, masked_lm=True)
    write_vectors(folder / "vectors.txt")
    (folder / "data").mkdir()
    convert(folder / "vectors.txt", folder / "data/vectors")
    write_table(folder / "toy.csv", 40, seed=1)
    rows = pd.read_csv(folder / "toy.csv")
    (folder / "data/raw/toy").mkdir(parents=True)
    table = pd.DataFrame({"text": rows["body"], "label": rows["stars"].eq("good").astype(int)})
    table.to_parquet(folder / "data/raw/toy/train.parquet", index=False)
    for model in ("teacher/toy", "student/toy/S_2L"):
        shutil.copytree(assets / "teacher", folder / "models" / model)
    return folder


@pytest.fixture
def clone(a_run, tmp_path, monkeypatch) -> Path:
    """The working directory: an empty folder with links to the run's; S_2L is tiny."""
    for name in ("models", "data"):
        (tmp_path / name).symlink_to(a_run / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STUDENTS, "S_2L", (Shape(2, 24, 32), Shape(1, 12, 16)))
    return tmp_path
