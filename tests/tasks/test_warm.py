"""Stages forked from a warm process: what they do is what `python -m` does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from confidistill.imports import SPINS
from tasks.warm import A_STAGE, Warm

TOLD = """\
import os, sys, torch
print(sys.argv[1:], os.getcwd(), os.environ["DVC_STAGE"], os.environ.get("SHELL"), "CONFIDISTILL_SHELL" in os.environ)
print(__name__, sys.stdin.read(), sys.stdout.isatty(), torch.get_num_threads())
matrix = torch.arange(90_000.0).reshape(300, 300) / 1e5
print((matrix @ matrix).double().sum().item(), torch.rand(3, generator=torch.Generator().manual_seed(0)))
print("to stderr", file=sys.stderr)
sys.exit(int(os.environ["DVC_STATUS"]))
"""
WAITS = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    print(child.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
    child.wait()
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "tasks").mkdir()
    (root / "tasks" / "__init__.py").touch()  # before the project's own, which is installed
    for name, code in {"told": TOLD, "waits": WAITS, "loaded": "import sys; print('torch' in sys.modules)"}.items():
        (root / "tasks" / f"{name}.py").write_text(code)
    return root


@pytest.fixture(scope="module")
def cold():
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "SHELL": "/bin/sh", "OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def environment(cold):
    warm = Warm()
    given = warm.environment(cold)
    warm.see(f"{A_STAGE}first", cold)
    assert not Path(given["SHELL"]).with_name("socket").exists()
    warm.see(f"{A_STAGE}second", cold)
    deadline = time.monotonic() + 120
    while not Path(given["SHELL"]).with_name("socket").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield given
    del warm  # with which the process ends


def run(environment, folder, command="python -m tasks.told", **changes):
    environment = environment | {"DVC_STAGE": "told@a", "DVC_STATUS": "0"} | changes
    command = [environment["SHELL"], "-c", command]
    return subprocess.run(command, env=environment, cwd=folder, input="asked", capture_output=True, text=True)


def started(environment, folder):
    """A stage that waits: the process that DVC sees, and those behind it."""
    command = [environment["SHELL"], "-c", "python -m tasks.waits"]
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(process.stdout.readline()))
    return process, child.parent(), child


def gone(process):
    try:
        process.wait(10)
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("status", ["0", "2"])
def test_a_fork_is_as_a_process_of_its_own(environment, cold, folder, status):
    forked, own = (run(one, folder, DVC_STATUS=status) for one in (environment, cold))
    assert forked.returncode == own.returncode == int(status)
    assert forked.stdout == own.stdout
    assert forked.stderr == own.stderr == "to stderr\n"
    assert run(environment, folder, "python -m tasks.loaded").stdout == "True\n"
    assert run(cold, folder, "python -m tasks.loaded").stdout == "False\n"


def test_the_threads_of_a_fork_wait_as_briefly_as_those_of_a_process_of_its_own(environment, folder):
    (folder / "tasks/spins.py").write_text("import os; print(os.environ['GOMP_SPINCOUNT'])")
    assert run(environment, folder, "python -m tasks.spins").stdout == f"{SPINS}\n"


def test_a_fork_runs_the_code_as_it_now_stands(environment, folder):
    for word in ("before", "after the edit"):
        (folder / "tasks/edited.py").write_text(f"print('{word}')")
        assert run(environment, folder, "python -m tasks.edited").stdout == f"{word}\n"


@pytest.mark.parametrize("change", [{"OMP_NUM_THREADS": "1"}, {"PYTHONPATH": "/elsewhere"}])
def test_another_environment_takes_a_process_of_its_own(environment, folder, change):
    assert run(environment, folder, "python -m tasks.loaded", **change).stdout == "False\n"


def test_what_is_no_stage_is_run_by_the_shell(environment, folder):
    assert run(environment, folder, "echo $DVC_STAGE; exit 3").stdout == "told@a\n"
    assert run(environment, folder, "exit 3").returncode == 3


def test_a_defect_keeps_its_traceback(environment, folder):
    (folder / "tasks/broken.py").write_text("1 / 0")
    done = run(environment, folder, "python -m tasks.broken")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_an_interrupt_reaches_the_stage_and_its_children(environment, folder):
    process, stage, child = started(environment, folder)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == "interrupted\n"
    assert process.wait() == 130
    assert gone(stage) and gone(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_of_the_process_that_dvc_sees_is_the_end_of_the_stage(environment, folder, number):
    process, stage, child = started(environment, folder)
    process.send_signal(number)
    assert process.wait() == -number
    assert gone(stage) and gone(child)


def test_a_stage_that_was_killed_is_seen_so(environment, folder):
    process, stage, child = started(environment, folder)
    stage.kill()
    assert process.wait() == -signal.SIGKILL
    child.kill()


def test_the_warm_process_ends_with_its_owner_and_leaves_nothing(cold):
    code = f"""
import os, psutil
from tasks.warm import Warm
warm, environment = Warm(), {cold!r}
warm.environment(environment)
for _ in range(2):
    warm.see({A_STAGE!r}, environment)
print(psutil.Process().children()[0].pid, warm.environment(environment)["SHELL"], flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], env=cold, stdout=subprocess.PIPE, text=True)
    pid, shell = done.stdout.split()
    deadline = time.monotonic() + 120
    while psutil.pid_exists(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not Path(shell).parent.exists()
