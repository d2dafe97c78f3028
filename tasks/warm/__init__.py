"""Stages that start at once: a process that has imported torch and transformers forks for each of them.

DVC runs the command of a stage with $SHELL. In the environment that a `Warm` gives, that is `shell.py`, which has the
command taken up by a fork of `server.py` and behaves like the process that it stands for: same output, same exit
status, signals handed on, and an end that is the fork's end too. A command for which there is no warm process, or not
yet, runs as it does without one, and so does plain `dvc repro`.

The warm process holds libraries and nothing of the project, whose code each stage imports as it then stands. It has
computed nothing: neither OpenMP nor CUDA is at work in what is forked.
"""

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
A_STAGE = "> python -m tasks."  # what DVC prints before it starts one
WORTH_IT = 2  # stages: of a single one the start would be no sooner


class Warm:
    """A warm process of ours, which ends with us; the stages that it has forked do not."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._stages = 0
        self._folder: TemporaryDirectory[str] | None = None
        self._owned: int | None = None  # the warm process ends when this end of a pipe is closed

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        """What DVC is to be run in, so that its stages, which see `environment` as it is, may be forks."""
        if sys.platform != "linux":  # elsewhere the system's own libraries forbid to fork
            return environment
        with self._guard:
            shell = self._shell()
        if not os.access(shell, os.X_OK):  # temporary files are no programs here
            return environment
        return environment | {"SHELL": str(shell), "CONFIDISTILL_SHELL": environment.get("SHELL", "")}

    def see(self, line: str, environment: dict[str, str]) -> None:
        """Start the warm process, in `environment`, once DVC's lines tell of stages that it is worth it for."""
        if not line.startswith(A_STAGE):
            return
        with self._guard:
            self._stages += 1
            if self._folder and self._owned is None and self._stages >= WORTH_IT:
                self._start(environment)

    def _start(self, environment: dict[str, str]) -> None:
        assert self._folder
        theirs, self._owned = os.pipe()
        subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), self._folder.name, str(theirs)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)

    def _shell(self) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="confidistill-", ignore_cleanup_errors=True)
            command = [sys.executable, "-IS", str(HERE / "shell.py"), str(Path(self._folder.name) / "socket")]
            path = Path(self._folder.name) / "shell"
            path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            path.chmod(0o700)
        return Path(self._folder.name) / "shell"
