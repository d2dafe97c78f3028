"""Commands as processes of their own: their lines as they come, their end with ours."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.dvc import search_path
from tasks.forkserver import Command, Forkserver
from tasks.warm import Warm

GRACE_SECONDS = 10
LOOK_SECONDS = 1.0


class StoppedError(Exception):
    """The run is being ended: nothing is started or tried again."""


Process = subprocess.Popen[str] | Command

_stopping = threading.Event()
_running: set[Process] = set()
_forkserver = Forkserver()
_warm = Warm()
_inherited: set[int] = set()
_guard = threading.Lock()


def run(command: list[str], log: Callable[[str], None], *, cwd: Path | None = None) -> int:
    """Run a command in `cwd` (None: the current folder), hand each line it prints to `log`; its exit status.

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
            cwd=cwd,
            env=_environment(),
            start_new_session=True,
            pass_fds=tuple(_inherited),
        )

    return _follow(start, log)


def dvc(
    arguments: list[str],
    log: Callable[[str], None],
    environment: dict[str, str] | None = None,
    *,
    cwd: Path | None = None,
    unwanted: Callable[[], bool] | None = None,
) -> int:
    """Run a DVC command that waits for its turn at the repository; else as `run`.

    `unwanted` is asked every second: once it says so, the command is ended, with its children.
    """
    return _fork(["dvc", "--wait-for-lock", *arguments], log, environment, cwd=cwd, unwanted=unwanted)


def run_cache(direction: str, stage: str, log: Callable[[str], None], *, cwd: Path) -> int:
    """run_cache.py in a process of its own; else as `run`."""
    return _fork(["run_cache", direction, stage], log, cwd=cwd)


def _fork(
    command: list[str],
    log: Callable[[str], None],
    environment: dict[str, str] | None = None,
    *,
    cwd: Path | None = None,
    unwanted: Callable[[], bool] | None = None,
) -> int:
    own = _environment()

    def start() -> Process:
        everything = _warm.environment(own) | (environment or {})
        return _forkserver.start(command, everything, tuple(_inherited), folder=cwd)

    def see(line: str) -> None:
        _warm.see(line, own)
        log(line)

    return _follow(start, see, unwanted)


def _follow(
    start: Callable[[], Process], log: Callable[[str], None], unwanted: Callable[[], bool] | None = None
) -> int:
    with _guard:
        if _stopping.is_set():
            raise StoppedError("interrupted")
        process = start()
        _running.add(process)
    over = threading.Event()
    if unwanted:
        threading.Thread(target=_end_once, args=(unwanted, process, over), daemon=True).start()
    try:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:  # a lone carriage return ends a line too
                if line.strip():
                    log(line.rstrip())
        status = process.wait()
    except BaseException:  # this thread is being ended, and with it what it runs
        _end([process])
        raise
    finally:
        over.set()
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
    _end(processes)


def _end_once(unwanted: Callable[[], bool], process: Process, over: threading.Event) -> None:
    while not over.wait(LOOK_SECONDS):
        if unwanted():
            _end([process])
            return


def _end(processes: list[Process]) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)  # also what is left of the group


@contextmanager
def inherited(descriptor: int) -> Iterator[None]:
    """Processes may be started in the block; they hold a descriptor of ours open until their end."""
    _stopping.clear()
    _inherited.add(descriptor)
    try:
        yield
    finally:
        _inherited.discard(descriptor)


def _environment() -> dict[str, str]:
    """Ours without what is Prefect's, credentials among it, and with this Python first on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PATH"] = search_path()
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
