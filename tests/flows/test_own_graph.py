"""The project's own dvc.yaml on a work pool, at tiny size: each kind of stage that is marked for a GPU is sent out."""

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests import tiny
from tests.flows.conftest import Server, Worker
from tests.flows.toy import Toy

pytestmark = pytest.mark.timeout(700)  # the server's start is in it
LIMIT_SECONDS = (
    500  # on two idle cores it takes 170, most of it Prefect's own start for each stage; on busy ones, far more
)


@pytest.fixture
def driver(tmp_path: Path) -> Toy:
    """The project as it stands, with one augmented task, committed and pushed; its DVC remote is a folder."""
    assets, root, control = tiny.write_assets(tmp_path / "assets"), tmp_path / "driver", tmp_path / "control"
    control.mkdir()
    root.mkdir()
    params = tiny.params(assets)
    for section, unused in (("tasks", "plain"), ("augment", "plain"), ("pairs", "plain-S_2L")):
        params[section].pop(unused, None)
    params |= {"seeds": [5], "floor": {"seeds": [7]}}
    tiny.write_clone(root, params)
    driver = Toy(root, control, tmp_path / "prefect")
    driver.check("git", "init", "--quiet", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    driver.check("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    driver.check(sys.executable, "-m", "dvc", "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    driver.commit()
    return driver


def gpu_stages(driver: Toy) -> set[str]:
    """The stages of dvc.yaml with `meta: {device: gpu}`, without what is after the @."""
    stages = YAML(typ="safe").load(driver.root / "dvc.yaml")["stages"]
    return {name for name, stage in stages.items() if (stage.get("do") or stage).get("meta") == {"device": "gpu"}}


def test_each_kind_of_stage_on_a_pool(driver: Toy, server: Server) -> None:
    server.deploy(driver.root)
    worker = Worker("worker", server, driver.clone("worker"))
    worker.start()
    try:
        done = driver.pipeline("--gpu-pool", "gpu", seconds=LIMIT_SECONDS, OMP_NUM_THREADS="1", **server.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        runs = server.task_runs(server.flow_run(driver.run_name())["id"])
    finally:
        worker.kill()
        print(worker.log.read_text())  # for pytest to show where the test fails
    brought = {name.partition("@")[0] for name, run in runs.items() if run["state"]["message"] == "on gpu"}
    assert brought == gpu_stages(driver)
    assert "up to date" in driver.check(sys.executable, "-m", "dvc", "status")
    for name in ("metrics.json", "predictions/student-dev.csv", "figures/figure2-train.png"):
        path = Path("results/varied/S_2L", name)
        assert (driver.root / path).read_bytes() == (worker.clone.root / path).read_bytes()
