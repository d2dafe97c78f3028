"""use, report, doctor and the Makefile, as their user runs them: real processes, one line a mistake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def confidistill(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "confidistill.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    return tmp_path


def assert_one_line(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_use_copies_the_profile(folder):
    done = confidistill("use", "paper", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "params.yaml").read_bytes() == (folder / "profiles" / "paper.yaml").read_bytes()
    assert "6 tasks, 12 pairs" in done.stdout


def test_use_of_an_unknown_profile_names_the_known(folder):
    assert_one_line(
        confidistill("use", "huge", cwd=folder), "unknown profile 'huge': profiles/ has glue-local, glue-mini"
    )
    assert not (folder / "params.yaml").exists()


def test_use_of_an_invalid_profile_leaves_params_alone(folder):
    (folder / "params.yaml").write_text("kept\n")
    profile = folder / "profiles" / "quickstart.yaml"
    profile.write_text(profile.read_text().replace("kappa: 0.05", "kappa: -1"))
    assert_one_line(confidistill("use", "quickstart", cwd=folder), "property.kappa: Input should be greater than 0")
    assert (folder / "params.yaml").read_text() == "kept\n"


def test_use_does_not_overwrite_what_stands_nowhere_else(folder):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for profile in ("quickstart", "paper"):  # each in place of the other: nothing is lost
        assert confidistill("use", profile, cwd=folder).returncode == 0
    params = folder / "params.yaml"
    mine = params.read_text().replace("kappa: 0.05", "kappa: 0.06")
    params.write_text(mine)
    assert_one_line(confidistill("use", "quickstart", cwd=folder), "params.yaml has changes that are not committed")
    assert params.read_text() == mine
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    assert_one_line(confidistill("use", "quickstart", cwd=folder), "params.yaml has changes that are not committed")
    subprocess.run([*git, "commit", "-q", "-m", "mine"], cwd=folder, check=True)
    assert confidistill("use", "quickstart", cwd=folder).returncode == 0
    params.write_text(mine + "# more\n")
    assert confidistill("use", "quickstart", "--force", cwd=folder).returncode == 0
    assert params.read_bytes() == (folder / "profiles" / "quickstart.yaml").read_bytes()


def test_report_before_a_run_says_what_to_do(folder):
    confidistill("use", "quickstart", cwd=folder)
    assert_one_line(confidistill("report", cwd=folder), "results/report.html: no such file: run `make demo`")


def test_doctor_outside_a_repository_says_so(folder):
    assert_one_line(confidistill("doctor", cwd=folder), "is not the root of a git and DVC repository")


def test_doctor_in_the_clone_is_content():
    done = confidistill("doctor", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout


def test_repro_outside_a_repository_says_so(folder):
    confidistill("use", "quickstart", cwd=folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tasks.repro"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert_one_line(done, "run in the root of a git clone")


def test_make_refuses_a_python_that_is_too_old(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old-python"
    # A real interpreter that says it is 3.8: the check is the Makefile's own, run by it.
    old.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] || exit 9\nexec {sys.executable} -c "import sys; sys.version_info = (3, 8, 1); $2"\n'
    )
    old.chmod(0o755)
    done = subprocess.run(["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: Python 3.8 is too old: confidistill needs 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_notices_that_the_clone_was_moved(tmp_path):
    """Scripts of a virtual environment begin with its old path: Error 127."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    stamp = tmp_path / ".venv" / ".installed"

    def would_do():
        return subprocess.run(["make", "-n", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    stamp.write_text(f"{tmp_path}\n")
    assert "venv --clear" not in would_do()
    assert "pip install" not in would_do()
    stamp.write_text("/home/old/place\n")
    lines = would_do().splitlines()
    cleared, installed, run = (
        next(i for i, line in enumerate(lines) if part in line)
        for part in ("venv --clear .venv", "pip install", "tasks.repro")
    )
    assert cleared < installed < run


def test_a_report_is_printed_where_there_are_no_greek_letters(folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    code = "from confidistill.errors import exits_cleanly; exits_cleanly(lambda: print('σ ≤ κ = 0.05'))()"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "? ? ? = 0.05\n", "")


def test_a_params_file_in_another_encoding_is_one_line(folder):
    (folder / "profiles" / "mine.yaml").write_bytes("profile: café\n".encode("latin-1"))
    assert_one_line(confidistill("use", "mine", cwd=folder), "profiles/mine.yaml: not UTF-8 at byte 12")


def test_a_full_disk_is_one_line_and_leaves_nothing(folder):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        confidistill("use", "quickstart", cwd=folder)
        shutil.copy(folder / "params.yaml", disk)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tasks.download_data", "movies"]
        done = subprocess.run(command, cwd=disk, env=environment, capture_output=True, text=True)
        assert_one_line(done, "MiB of disk are free: free some space")

        (disk / "filler").write_bytes(b"0" * (1024 * 1024 - 16 * 1024))
        predictions = folder / "teacher.csv"
        predictions.write_text("p0,p1,label\n" + "0.25,0.75,1\n" * 10)
        json_file = disk / ("results-" + "x" * 8 + ".json")
        (disk / "filler2").write_bytes(b"0" * 4096)
        full = subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk / 'rest'}", "bs=1k", "count=64"], capture_output=True, text=True
        )
        assert "No space left" in full.stderr
        done = confidistill("check", str(predictions), str(predictions), "--json", str(json_file), cwd=folder)
        assert_one_line(done, "No space left on device")
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "filler2", "params.yaml", "rest"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
