"""Processes of the flows: what they see, how they end."""

import sys
import threading
from pathlib import Path

import pytest

from tasks import processes
from tests.flows.toy import alive, wait_until


def test_a_stage_does_not_see_what_is_prefects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:not-to-be-seen")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {look: {cmd: env, outs: [none]}}")
    processes.dvc(["init", "--no-scm", "--quiet"], print)
    for run in (
        lambda log: processes.run(["env"], log),
        lambda log: processes.dvc(["repro", "look"], log, {"CUDA_VISIBLE_DEVICES": "3"}),
    ):
        lines: list[str] = []
        run(lines.append)
        assert any(line.startswith("PATH=") for line in lines)
        assert not any("PREFECT" in line or "not-to-be-seen" in line for line in lines)
    assert "CUDA_VISIBLE_DEVICES=3" in lines


def test_lines_as_they_come_and_the_exit_status() -> None:
    lines: list[str] = []
    command = "import sys; print('one'); print('50 %', end='\\r'); print('100 %'); sys.exit('no \\xff more')"
    assert processes.run([sys.executable, "-c", command], lines.append) == 1
    assert lines == ["one", "50 %", "100 %", "no ÿ more"]


def test_a_command_ends_with_the_thread_that_follows_it(tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    command = f"echo $$ > {tmp_path}/child; echo started; exec sleep 600"
    with pytest.raises(KeyboardInterrupt):
        processes.run(["sh", "-c", command], interrupt)
    assert not alive(int((tmp_path / "child").read_text()))


def test_stop_all_ends_the_whole_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 1)
    monkeypatch.setattr(processes, "_stopping", threading.Event())
    command = f"trap '' TERM; sh -c 'echo $$ > {tmp_path}/child; exec sleep 600'"
    ends: list[type] = []

    def stage() -> None:
        try:
            processes.run(["sh", "-c", command], print)
        except processes.StoppedError:
            ends.append(processes.StoppedError)

    thread = threading.Thread(target=stage)
    thread.start()
    child = tmp_path / "child"
    wait_until(lambda: child.exists() and child.read_text().strip(), "the child runs")
    processes.stop_all()
    thread.join(30)
    assert ends == [processes.StoppedError]
    wait_until(lambda: not alive(int(child.read_text())), "the child is gone")
    with pytest.raises(processes.StoppedError):
        processes.run(["true"], print)
