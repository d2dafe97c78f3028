"""Commands as processes of their own: their lines as they come, their end with ours, one owner a clone."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from confidistill.errors import UserError
from flows.forkserver import Command, Forkserver
from tasks.dvc import search_path

OWNER = Path(".dvc/tmp/flows.lock")
GRACE_SECONDS = 10


class StoppedError(Exception):
    """The run is being ended: nothing is started or tried again."""


Process = subprocess.Popen[str] | Command

_stopping = threading.Event()
_running: set[Process] = set()
_forkserver = Forkserver()
_owner_descriptors: set[int] = set()
_guard = threading.Lock()


def run(command: list[str], log: Callable[[str], None]) -> int:
    """Run a command, hand each line it prints to `log`; its exit status.

    It leads a process group of its own, so that Ctrl-C reaches it through `stop_all` only.

    Raises:
        StoppedError: `stop_all` has been called, before or meanwhile.
    """

    def start() -> Process:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            start_new_session=True,
            pass_fds=tuple(_owner_descriptors),
        )

    return _follow(start, log)


def dvc(arguments: list[str], log: Callable[[str], None], environment: dict[str, str] | None = None) -> int:
    """Run a DVC command that waits for its turn at the repository; else as `run`."""

    def start() -> Process:
        return _forkserver.start(
            ["--wait-for-lock", *arguments], _environment() | (environment or {}), tuple(_owner_descriptors)
        )

    return _follow(start, log)


def _follow(start: Callable[[], Process], log: Callable[[str], None]) -> int:
    with _guard:
        if _stopping.is_set():
            raise StoppedError("interrupted")
        process = start()
        _running.add(process)
    try:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:  # a lone carriage return ends a line too
                if line.strip():
                    log(line.rstrip())
        status = process.wait()
    finally:
        with _guard:
            _running.discard(process)
    if _stopping.is_set():
        raise StoppedError("interrupted")
    return status


def stopping() -> bool:
    """Whether the run is being ended."""
    return _stopping.is_set()


def stop_all() -> None:
    """End every process that `run` started, with its children: asked first, killed after some seconds."""
    with _guard:
        _stopping.set()
        processes = list(_running)
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)  # also what is left of the group


@contextmanager
def own_clone(what: str) -> Iterator[None]:
    """Be the only pipeline or stage run in this clone.

    The lock passes to the processes `run` starts: where this one was killed and left such a process, the next
    owner waits for its end, and then finds its stage done.

    Raises:
        UserError: another one that is alive owns the clone.
    """
    _stopping.clear()
    OWNER.parent.mkdir(parents=True, exist_ok=True)
    with OWNER.open("a+") as file:
        if not _try_lock(file.fileno()):
            file.seek(0)
            owner = file.read().strip()
            if _is_alive(owner.rpartition(" ")[2]):
                raise UserError(f"{owner} is at work in this clone: wait for its end, or use a clone of its own")
            print(
                "waiting for the stage that a killed run left at work in this clone",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{what}, process {os.getpid()}\n")
        file.flush()
        _owner_descriptors.add(file.fileno())
        try:
            yield
        finally:
            _owner_descriptors.discard(file.fileno())


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return False


def _environment() -> dict[str, str]:
    """Ours without what is Prefect's, credentials among it, and with this Python first on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PATH"] = search_path()
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
