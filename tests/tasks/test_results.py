"""What the report depends on: every pair that is listed, whole, and nothing else."""

import json
from types import SimpleNamespace

import pytest

from confidistill.files import sha256
from tasks.results import hashes, remove_leftovers
from tasks.tables import judged_splits


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("movies/S_2L/metrics.json", "movies/S_2L/predictions/student-dev.csv", "plots/movies-S_2L/x.csv"):
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    splits: dict[str, dict] = {"train": {}, "selection": {}, "dev": {}}
    files = {f"teacher/movies/{split}.parquet": split for split in splits}
    for name, text in (files | {"raw/movies/manifest.json": json.dumps({"splits": splits})}).items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    return tmp_path


def test_the_headline_leaves_out_what_picks_epochs():
    assert judged_splits("movies") == ["train", "dev"]


@pytest.mark.parametrize(
    "file", ["results/movies/S_2L/metrics.json", "results/movies/S_2L/predictions/student-dev.csv",
             "data/teacher/movies/selection.parquet", "data/raw/movies/manifest.json"],
)  # fmt: skip
def test_a_change_of_anything_that_is_read_changes_the_hashes(folder, file):
    before = hashes("movies", "S_2L")
    assert f"{sha256(folder / file)}  {file}\n" in before
    with (folder / file).open("a") as written:
        written.write(" ")
    assert hashes("movies", "S_2L") != before


def test_leftovers_go_and_pairs_stay(folder):
    plots = folder / "results" / "plots"
    (plots / "other-S_9L").mkdir()
    (plots / "other-S_9L" / "x.csv").write_text("")
    (plots / ".DS_Store").write_text("")
    for name in ("costs/movies-S_2L-onnx.json", "costs/movies-S_2L-onnx-int8.json"):
        (plots / name).parent.mkdir(exist_ok=True)
        (plots / name).write_text("{}")
    listed = {"tasks": ["movies"], "students": ["S_2L"], "seeds": [], "floor": SimpleNamespace(seeds=[])}
    remove_leftovers(SimpleNamespace(**listed, export=["onnx"]))
    assert sorted(path.name for path in plots.iterdir()) == ["costs", "movies-S_2L"]
    assert [path.name for path in (plots / "costs").iterdir()] == ["movies-S_2L-onnx.json"]
    remove_leftovers(SimpleNamespace(**listed, export=[]))
    assert [path.name for path in plots.iterdir()] == ["movies-S_2L"]
