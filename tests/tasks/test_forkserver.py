"""Commands of the forkserver: their lines and ends are their own, whatever happens to it or to the others."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.forkserver import Forkserver
from tasks.run_cache import NO_RESULT

DVC_YAML = """\
stages:
  quick: {cmd: "echo seen $COLOUR; exit 3", outs: [none]}
  slow: {cmd: "sleep 600", outs: [never]}
  cached: {cmd: "true", deps: [colours], outs: [nothing]}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forkserver:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "colours").write_text("red, green")
    return Forkserver()


def repository() -> dict[str, str]:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}
    for command in (["init", "--no-scm", "--quiet"], ["config", "core.check_update", "false"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], check=True, env=environment)
    return environment


def test_the_lines_the_environment_and_the_exit_status_of_each_command(server: Forkserver) -> None:
    environment = repository()
    for colour in ("red", "green"):
        command = server.start(["dvc", "repro", "--force", "quick"], environment | {"COLOUR": colour})
        assert f"seen {colour}\n" in command.stdout.read()
        assert command.wait() == 255
        assert command.wait(timeout=0) == 255
    command = server.start(["dvc", "repro", "--dry", "quick"], environment)
    assert command.stdout.read().startswith("Running stage 'quick':")
    assert command.wait() == 0


def test_a_killed_command_and_a_killed_forkserver(server: Forkserver) -> None:
    environment = repository()
    slow = server.start(["dvc", "repro", "slow"], environment)
    assert slow.stdout.readline() == "Running stage 'slow':\n"
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(timeout=0.1)

    assert server._process
    server._process.kill()
    server._process.wait()
    other = server.start(["dvc", "root"], environment)  # from a new one
    assert other.stdout.read() == ".\n"
    assert other.wait() == 0
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(timeout=0.1)  # still at work

    os.killpg(slow.pid, signal.SIGKILL)
    assert slow.wait() == -signal.SIGKILL


def test_our_own_command_upon_dvc(server: Forkserver) -> None:
    command = server.start(["run_cache", "pull", "cached"], dict(os.environ))
    assert "is not a DVC repository: run in the root of a git clone" in command.stdout.read()
    assert command.wait() == 2
    environment = repository()
    add = server.start(["dvc", "remote", "add", "--default", "shared", "remote"], environment)
    assert add.wait() == 0
    assert server.start(["run_cache", "pull", "cached"], environment).wait() == NO_RESULT


def test_outside_a_repository_dvc_says_so_itself(server: Forkserver) -> None:
    command = server.start(["dvc", "repro"], dict(os.environ))
    assert "you are not inside of a DVC repository" in command.stdout.read()
    assert command.wait() == 253
