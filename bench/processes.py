"""A process of its own for what is measured: its seconds, its peak memory, its output."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from confidistill.errors import UserError

ROOT = Path(__file__).parents[1]

# The kernel counts in a process's peak what its parent held when it was started, so the parent is this small one.
LAUNCHER = """\
import json, os, sys, time
started = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
unit = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - started, usage.ru_maxrss / unit]))
"""


@dataclass(frozen=True)
class Process:
    """A process that has ended; its start and its imports count."""

    code: int
    seconds: float
    peak_mib: float
    """The most resident memory that it held."""
    output: str


def measured(*arguments: str | Path, codes: Collection[int] = (0,)) -> Process:
    """Run Python with `arguments`.

    Raises:
        UserError: its exit status is none of `codes`; with the last that it said.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *map(str, arguments)]
    launched: Sequence[str] = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launched, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    *output, figures = done.stdout.splitlines() or [""]
    code, seconds, peak_mib = json.loads(figures)
    if code not in codes:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise UserError(f"{' '.join(command[1:])}: exit status {code}: {said[-1]}")
    return Process(code, seconds, peak_mib, "\n".join(output))


def own_peak_mib() -> float:
    """The most resident memory that this process held."""
    status = Path("/proc/self/status")
    text = status.read_text() if status.exists() else ""
    if found := re.search(r"^VmHWM:\s*(\d+) kB$", text, re.M):  # in which what its parent held does not count
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
