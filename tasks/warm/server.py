"""The warm process: `server.py FOLDER DESCRIPTOR`; it listens at FOLDER/socket until the descriptor is closed.

It imports nothing of the project, and runs as a file for that. Each stage has a keeper between it and the warm process,
which hands signals to the stage, ends it when the command that asked for it has ended, and tells how it ended.
"""

import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TextIO

# What the stages import by themselves, sooner or later.
LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "torch",
    "transformers",
    "transformers.trainer",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "accelerate",
    "safetensors.torch",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "grimp",
    "pydantic",
    "ruamel.yaml",
    "jinja2",
)
SPINS = "5000"  # of OpenMP's threads: as in confidistill.imports
STARTED_IN = dict(os.environ)
# What may differ from it in a stage's environment; anything else may be read as a library is imported.
OF_A_STAGE = {"CUDA_VISIBLE_DEVICES", "OLDPWD", "PWD", "SHLVL", "_"}


class Stage(NamedTuple):
    """What a fork is to be: `python -m MODULE` in a folder."""

    module: str
    folder: str


def import_libraries() -> None:
    """All of them; one that is not installed is the stages' to miss. No garbage: as in confidistill.imports.

    Whether there is a GPU is asked without CUDA, which a process that has begun with it leaves to no fork of its.
    """
    checked = "PYTORCH_NVML_BASED_CUDA_CHECK"
    os.environ[checked] = "1"
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    gc.disable()
    for name in LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()
    gc.enable()
    # From Python 3.12 on each fork would say so: numpy's library has started threads, which have computed nothing.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    del os.environ[checked]
    os.environ.update({checked: value} if (value := STARTED_IN.get(checked)) else {})


def serve(path: Path, owner: int) -> Stage | None:
    """Fork for each request: None here, once the owner has ended; in a fork, what it is to be."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        while True:
            if owner in select.select([listener.fileno(), owner], [], [])[0]:
                return None
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    os.close(owner)
                    return keep(connection)


def keep(connection: socket.socket) -> Stage | None:
    """In the keeper: never. In its fork, the stage: what it is."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("r") as file:
        request: dict[str, Any] = json.loads(file.readline() or "null")
    if not request or differing(request["environment"]):
        os._exit(0)
    connection.send(b"taken up\n")
    if not connection.recv(1):
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        connection.close()
        return become(request, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    heard = {ended := os.pidfd_open(pid), connection.fileno()}
    while ended not in select.select(heard, [], [])[0]:
        numbers = connection.recv(64)
        for number in numbers or [signal.SIGKILL]:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        if not numbers:  # the command has ended, and now the stage does
            heard.remove(connection.fileno())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.send(f"{status}\n".encode())
    os._exit(0)


def differing(environment: dict[str, str]) -> bool:
    """Whether a library might have been imported otherwise in that environment."""
    names = {name for name in environment.keys() | STARTED_IN.keys() if not name.startswith("DVC_")} - OF_A_STAGE
    return any(environment.get(name) != STARTED_IN.get(name) for name in names)


def become(request: dict[str, Any], descriptors: list[int]) -> Stage:
    """Take on the output, the folder and the environment of the command that is stood for."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = text_output(1, sys.stdout.errors), text_output(2, sys.stderr.errors)
    os.chdir(request["folder"])
    set_by_libraries = {name: value for name, value in os.environ.items() if STARTED_IN.get(name) != value}
    os.environ.clear()
    os.environ.update(request["environment"] | set_by_libraries)
    return Stage(request["module"], request["folder"])


def text_output(descriptor: int, errors: str | None) -> TextIO:
    """As Python makes sys.stdout and sys.stderr."""
    by_line = descriptor == 2 or os.isatty(descriptor) or "PYTHONUNBUFFERED" in os.environ
    return open(descriptor, "w", buffering=1 if by_line else -1, errors=errors, closefd=False)


def main() -> None:
    folder, owner = Path(sys.argv[1]), int(sys.argv[2])
    import_libraries()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks here how a keeper has ended
    stage = serve(folder / "socket", owner)
    if stage is None:
        shutil.rmtree(folder, ignore_errors=True)  # the owner may have been killed
        return
    sys.argv[:] = [stage.module]
    sys.path[0] = stage.folder
    runpy.run_module(stage.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
