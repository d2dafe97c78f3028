"""Results of stages through the DVC remote, between two clones: all that a stage wrote, and no command run."""

import sys
from pathlib import Path

import pytest

from tasks.run_cache import NO_RESULT
from tests.flows.toy import Toy, build, entries

# What a stage may write: a folder and a file that DVC caches, a metric and a plain file that git keeps.
DVC_YAML = """\
stages:
  measure:
    cmd: python measure.py
    deps: [measure.py]
    outs: [folder, table.csv, measures.json: {cache: false}]
    metrics: [metrics.json: {cache: false}]
"""
MEASURE = """\
import os
from pathlib import Path

Path("folder/inner").mkdir(parents=True)
for name in ("folder/a", "folder/inner/b", "table.csv", "measures.json", "metrics.json"):
    Path(name).write_text(os.environ["NUMBER"])
Path("metrics.json").write_text('{"sigma": 0.%s}' % os.environ["NUMBER"])
"""
WRITTEN = ("folder/a", "folder/inner/b", "table.csv", "measures.json", "metrics.json")


@pytest.fixture
def there(tmp_path: Path) -> Toy:
    """A clone in which the stage has run; nothing is pushed to the DVC remote."""
    toy = build(tmp_path / "project")
    (toy.root / "measure.py").write_text(MEASURE)
    (toy.root / ".gitignore").write_text("/folder\n/table.csv\n")
    toy.commit(dvc__yaml=DVC_YAML)
    reproduce(toy, "1")
    return toy


def reproduce(toy: Toy, number: str, *arguments: str) -> None:
    """The stage run, with figures of its own: as those of two processors differ in the last digits."""
    toy.check(sys.executable, "-m", "dvc", "repro", *arguments, "measure", NUMBER=number)


def transfer(toy: Toy, direction: str, **environment: str) -> int:
    return toy.run(sys.executable, "-m", "tasks.run_cache", direction, "measure", **environment).returncode


def written(toy: Toy) -> list[str]:
    return [(toy.root / name).read_text() for name in WRITTEN]


def test_all_that_a_stage_wrote_comes_home(there: Toy) -> None:
    assert transfer(there, "push") == 0
    here = there.clone("here")
    assert transfer(here, "pull") == 0
    assert written(here) == written(there) == ["1", "1", "1", "1", '{"sigma": 0.1}']
    assert here.lock == there.lock
    assert here.check(sys.executable, "-m", "dvc", "status").strip() == "Data and pipelines are up to date."


def test_it_takes_the_place_of_what_git_has(there: Toy) -> None:
    there.commit()  # dvc.lock, measures.json and metrics.json of an older revision
    there.commit(measure__py=MEASURE + "# newer\n")
    here = there.clone("here")
    reproduce(there, "2")
    assert transfer(there, "push") == 0
    assert (here.root / "metrics.json").read_text() == '{"sigma": 0.1}'
    assert transfer(here, "pull") == 0
    assert written(here) == written(there)
    assert here.lock == there.lock


def test_other_bytes_of_the_same_inputs_than_the_committed_lock_has(there: Toy) -> None:
    there.commit()
    here, other = there.clone("here"), there.clone("other")
    reproduce(other, "3", "--force")
    assert transfer(other, "push") == 0  # the committed ones are nowhere but in the first clone
    assert transfer(here, "pull") == 0
    assert written(here) == written(other)
    assert entries(here.lock) == entries(other.lock) != entries(there.lock)
    assert here.check(sys.executable, "-m", "dvc", "status").strip() == "Data and pipelines are up to date."


def test_what_the_committed_lock_has_is_preferred(there: Toy) -> None:
    there.commit()
    here, other = there.clone("here"), there.clone("other")
    for clone in (there, other):
        reproduce(other, "3", "--force")
        assert transfer(clone, "push") == 0
    assert transfer(here, "pull") == 0
    assert written(here) == written(there)
    assert here.lock == there.lock


def test_an_up_to_date_stage_whose_entry_is_lost_is_sent_whole(there: Toy) -> None:
    there.check("rm", "-r", ".dvc/cache")
    there.check(sys.executable, "-m", "dvc", "commit", "--force", "measure")
    assert transfer(there, "push") == 0
    here = there.clone("here")
    assert transfer(here, "pull") == 0
    assert written(here) == written(there)


def test_no_result_changes_nothing(there: Toy) -> None:
    there.commit()
    assert transfer(there, "push") == 0
    there.commit(measure__py=MEASURE + "# newer\n")
    here = there.clone("here")
    assert transfer(here, "pull") == NO_RESULT
    assert (here.root / "metrics.json").read_text() == '{"sigma": 0.1}'
    assert here.check("git", "status", "--porcelain") == ""


def test_a_remote_that_is_away_is_one_line(there: Toy) -> None:
    (there.root.parent / "remote").write_text("not a folder")
    done = there.run(sys.executable, "-m", "tasks.run_cache", "push", "measure")
    assert done.returncode not in (0, NO_RESULT)
    assert len(done.stderr.splitlines()) == 1, done.stderr
