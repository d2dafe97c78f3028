"""DVC's commands, and ours upon it, that start at once: a process that has imported DVC forks for each of them.

The import takes several times as long as a command on a small repository, and a pipeline gives one a stage. The
process (`python -m tasks.forkserver`) ends with the one that started it; the commands that it forked do not.
The forkserver of multiprocessing would import `__main__`, and Prefect with it, anew for each command, and counts all of
its processes as ended when it is killed itself.
"""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import NoReturn

from tasks import run_cache

MOST_DESCRIPTORS = 8  # of one request
NUMBER = struct.Struct("=i")  # a command tells two: its process id at its start, its exit status at its end


class Command:
    """A command at work, with what processes.py needs of subprocess.Popen."""

    def __init__(self, stdout: TextIOWrapper, status: FileIO) -> None:
        self.stdout = stdout
        self._status = status
        pid = self._told()
        if pid is None:
            raise ChildProcessError("the process that forks commands was killed")
        self.pid = pid  # a session leader
        self._returncode: int | None = None
        self._guard = threading.Lock()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; -9 if it was killed.

        Raises:
            subprocess.TimeoutExpired: it is still at work after `timeout` seconds.
        """
        if self._returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a forked command", timeout or 0.0)
        with self._guard:
            if self._returncode is None:
                status = self._told()
                self._returncode = -signal.SIGKILL if status is None else status
        return self._returncode

    def _told(self) -> int | None:
        told = self._status.read(NUMBER.size)
        return NUMBER.unpack(told)[0] if told else None


class Forkserver:
    """Starts commands; its process starts with the first of them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(
        self,
        command: list[str],
        environment: dict[str, str],
        pass_fds: Iterable[int] = (),
        *,
        folder: Path | None = None,
    ) -> Command:
        """`dvc ARGUMENTS` or `run_cache ARGUMENTS` in a folder (None: the current one), in a session of its own; it
        holds `pass_fds` open until its end."""
        request, told_to = os.pipe()
        stdout, output = os.pipe()
        status, told_by = os.pipe()
        theirs = [request, output, told_by]
        with self._guard:
            control = self._control
            if control is None or self._process is None or self._process.poll() is not None:
                control = self._control = self._launch(environment)
            socket.send_fds(control, [b"!"], [*theirs, *pass_fds])
        for descriptor in theirs:
            os.close(descriptor)
        with os.fdopen(told_to, "w") as file:
            json.dump(
                {"command": command, "environment": environment, "folder": str((folder or Path.cwd()).absolute())},
                file,
            )
        return Command(os.fdopen(stdout, encoding="utf-8", errors="replace"), FileIO(status))

    def _launch(self, environment: dict[str, str]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.forkserver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours


def _serve(control: socket.socket) -> None:
    """Fork for each request, until the other end is closed."""
    _import_dvc()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for the ends of the commands here
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, MOST_DESCRIPTORS)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _be_command(*descriptors[:3])
        for descriptor in descriptors:
            os.close(descriptor)


def _import_dvc() -> None:
    """All that a command imports as it goes: the parser's commands, and what reading the pipeline takes."""
    from dvc.cli.parser import get_main_parser
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    get_main_parser()
    with suppress(DvcException), Repo() as repo:  # a folder that is no repository: the command will say so
        repo.index.graph  # noqa: B018


def _be_command(request: int, output: int, told_by: int) -> NoReturn:
    from dvc.cli import main as dvc

    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.write(told_by, NUMBER.pack(os.getpid()))
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        with os.fdopen(request) as file:
            wanted = json.load(file)
        os.chdir(wanted["folder"])
        os.environ.clear()
        os.environ.update(wanted["environment"])
        sys.argv[:] = wanted["command"]
        status = {"dvc": dvc, "run_cache": run_cache.main}[sys.argv[0]]() or 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(told_by, NUMBER.pack(status))
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        _serve(ours)
