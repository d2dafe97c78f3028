"""Real processes for the tests of the flows: a Prefect server on a free loopback port, workers, clones."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.flows.toy import Toy, build, wait_until

PROJECT = Path(__file__).parents[2]


class Server:
    """`prefect server start`, which can be killed and started again; on SQLite where no database is given."""

    def __init__(self, home: Path, database: str | None = None) -> None:
        self.home = home
        self.database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "DVC_NO_ANALYTICS": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start"],
                env=os.environ | self.environment | self.database | {"PREFECT_SERVER_API_PORT": str(self.port)},
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, "the Prefect server answers", seconds=120)

    def kill(self) -> None:
        assert self._process
        kill_tree(self._process.pid)
        self._process.wait()

    def prefect(self, *arguments: str, cwd: Path = PROJECT) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=cwd,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, root: Path) -> None:
        """The two work pools and the two deployments, as docs/clusters.md says."""
        for pool in ("cpu", "gpu"):
            self.prefect("work-pool", "create", pool, "--type", "process", "--overwrite")
        self.prefect("deploy", "--all", cwd=root)

    def flow_run(self, name: str) -> Any:
        """The last flow run of that name."""
        return self.flow_runs(name)[0]

    def flow_runs(self, name: str) -> list[Any]:
        """The flow runs of that name, the last one first."""
        found: list[Any] = self._ask(
            "flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}, "sort": "START_TIME_DESC"}
        )
        return found

    def task_runs(self, flow_run: str) -> dict[str, Any]:
        """The task runs of a flow run, by name."""
        found = self._ask("task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run]}}})
        return {run["name"]: run for run in found}

    def artifacts(self, flow_run: str) -> dict[str, Any]:
        """The artifacts of a flow run, by key."""
        found = self._ask("artifacts/filter", {"flow_runs": {"id": {"any_": [flow_run]}}})
        return {artifact["key"]: artifact for artifact in found}

    def log(self, flow_run: str) -> str:
        """What a flow run and its tasks have logged."""
        found = self._ask("logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run]}}})
        return "\n".join(line["message"] for line in found)

    def _ask(self, path: str, question: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/{path}", json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=30))

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.home / "server.log").read_text()[-2000:]
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False


class Worker:
    """A process worker of the pool `gpu` in a clone of its own, which can be killed with all that it runs."""

    def __init__(self, name: str, server: Server, clone: Toy) -> None:
        self.name = name
        self.clone = clone
        self.log = clone.root.parent / f"{name}.log"
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = self.clone.environment(**self._server.environment, CONFIDISTILL_CLONE=str(self.clone.root))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "prefect",
                    "worker",
                    "start",
                    "--pool",
                    "gpu",
                    "--name",
                    self.name,
                    "--limit",
                    "1",
                ],
                cwd=self.clone.root,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def busy(self) -> bool:
        """Whether the process of a flow run is at work."""
        assert self._process
        return bool(psutil.Process(self._process.pid).children())

    def kill(self) -> None:
        """kill -9, as when the machine is gone: the worker, its flow runs, their stages."""
        assert self._process
        kill_tree(self._process.pid)
        self._process.wait()


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and everything below it."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_programs() -> Path | None:
    """The folder of initdb and postgres, on the path or where Debian puts them."""
    on_path = [Path(found).resolve()] if (found := shutil.which("initdb")) else []
    installed = [*on_path, *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    return installed[-1].parent if installed else None


@pytest.fixture(scope="session")
def database() -> Iterator[str | None]:
    """A PostgreSQL of the system's packages, on a Unix socket in a folder of its own; None where there is none."""
    programs = _postgres_programs()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="toy-postgres-"))  # pytest's own folders are closed to other users
    user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user)
    data, quiet = folder / "data", subprocess.DEVNULL
    initdb = [programs / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=quiet, user=user, cwd=folder)
    command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        ready = [programs / "pg_isready", "-h", folder, "-d", "postgres", "-q"]
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL is ready")
        yield f"postgresql+asyncpg://prefect@/postgres?host={folder}"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, database: str | None) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("prefect-server"), database)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return build(tmp_path / "toy")
