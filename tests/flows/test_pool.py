"""Stages sent to a work pool: a server, two workers in clones of their own, one DVC remote; and what may go wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.flows.conftest import Server, Worker
from tests.flows.toy import PARAMS, Toy, build, reproduced

pytestmark = pytest.mark.timeout(300)
TO_POOL = ("--gpu-pool", "gpu", "--patience", "12")


@dataclass(frozen=True)
class World:
    server: Server
    driver: Toy
    workers: tuple[Worker, Worker]

    def change(self, seed: int) -> None:
        """A new revision in which both train stages are stale."""
        self.driver.reset()
        self.driver.commit(params__yaml=PARAMS.replace("seed: 1", f"seed: {seed}"))


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    driver = build(tmp_path_factory.mktemp("world"))
    server.prefect("work-pool", "create", "cpu", "--type", "process")
    server.prefect("work-pool", "create", "gpu", "--type", "process")
    server.prefect("deploy", "--all")
    workers = tuple(Worker(name, server, driver.clone(name)) for name in ("first", "second"))
    for worker in workers:
        worker.start()
    yield World(server, driver, workers)
    for worker in workers:
        worker.kill()


def test_same_dvc_lock_as_a_local_run(world: World) -> None:
    done = world.driver.pipeline(*TO_POOL, **world.server.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.driver.lock == reproduced(world.driver, "local")
