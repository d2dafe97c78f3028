"""What DVC runs the command of a stage with: `shell.py SOCKET -c COMMAND`.

The warm process forks for `python -m tasks.STAGE`. Whatever it does not take up is run by /bin/sh.
"""

import json
import os
import re
import signal
import socket
import sys
from contextlib import suppress

STAGE = re.compile(r"python -m (tasks\.\w+)")
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def taken_up(path: str, module: str) -> int | None:
    """The exit status of the stage, or minus the signal that ended it; None: no warm process takes it up."""
    connection = socket.socket(socket.AF_UNIX)

    def hand_on(number: int, _frame: object) -> None:
        with suppress(OSError):  # it is over
            connection.send(bytes([number]))

    try:
        connection.connect(path)
        socket.send_fds(connection, [b"!"], [0, 1, 2])
        folder = os.getcwd()  # noqa: PTH109 (pathlib takes as long to import as all the rest)
        request = {"module": module, "folder": folder, "environment": dict(os.environ)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("r") as told:
            if told.readline() != "taken up\n":
                return None
            for number in HANDED_ON:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, hand_on)
            connection.send(b"\0")  # now that no signal is lost
            status = told.readline()
    except OSError:
        return None
    return int(status) if status else -signal.SIGKILL


def main() -> None:
    path, command = sys.argv[1], sys.argv[-1]
    if shell := os.environ.pop("CONFIDISTILL_SHELL", ""):
        os.environ["SHELL"] = shell
    else:
        os.environ.pop("SHELL", None)
    match = STAGE.fullmatch(command)
    status = taken_up(path, match[1]) if match else None
    if status is None:
        os.execv("/bin/sh", ["/bin/sh", "-c", command])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()
