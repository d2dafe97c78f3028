"""What ends a command is told in one line."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from confidistill.errors import UserError, exits_cleanly

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (UserError("a.csv row 3: no label"), 2, "error: a.csv row 3: no label\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), 2, "error: No space left on device while writing"),
        (PermissionError(errno.EACCES, "Permission denied", "a.bin"), 2, "error: a.bin: Permission denied\n"),
        (KeyboardInterrupt(), 130, "interrupted: run the same command again to go on\n"),
    ],
)
def test_one_line_and_an_exit_code(raised, code, line, capsys):
    @exits_cleanly
    def main():
        raise raised

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert told.count("\n") == 1


def test_a_defect_keeps_its_traceback():
    code = "from confidistill.errors import exits_cleanly\n@exits_cleanly\ndef main(): 1 / 0\nmain()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr
