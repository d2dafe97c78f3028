"""The gate: the action's own steps in a shell, the hook's command, the example of docs/gate.md."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from tests.bare import ROOT, copy_source

EXAMPLE = ROOT / "examples" / "gate"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ACTION = YAML(typ="safe").load(ROOT / "action.yml")
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


@pytest.fixture
def job(tmp_path):
    """A run of the step `Check` in a job of these inputs: the process, the summary, the outputs."""
    (tmp_path / "temp").mkdir()

    def run(**inputs: str) -> tuple[subprocess.CompletedProcess[str], str, str]:
        files = {name: tmp_path / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        for path in files.values():
            path.write_text("")
        given = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()} | inputs
        shown = STEPS["Check"]["env"]
        variables = {name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: given[m[1]], shown[name]) for name in shown}
        environment = os.environ | variables | {name: str(path) for name, path in files.items()}
        environment |= {"PATH": PATH, "RUNNER_TEMP": str(tmp_path / "temp"), "PYTHONPATH": str(ROOT)}
        return bash(STEPS["Check"]["run"], tmp_path, environment), *(path.read_text() for path in files.values())

    return run


def bash(program: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As a runner does: https://docs.github.com/actions/reference/workflow-syntax-for-github-actions, `shell`."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_action_closes_the_gate_on_one_of_two(job, tmp_path):
    both = f"{EXAMPLE / 'int8.csv'}\n{EXAMPLE / 'student.csv'}\n\n"
    options = "--classes bad,fair,good --by source"
    done, summary, outputs = job(teacher=str(EXAMPLE / "teacher.csv"), students=both, options=options)
    assert done.returncode == 1, done.stderr
    assert outputs == "exit-code=1\n"
    assert "### Is the student as sure as its teacher? σ ≤ κ = 0.05" in summary
    assert summary.count("| holds |") == summary.count("| fails |") == 1
    suite = ElementTree.parse(tmp_path / "confidistill.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_the_action_lets_pass_and_tells_unusable_input_from_a_verdict(job, tmp_path):
    teacher, student = str(EXAMPLE / "teacher.csv"), str(EXAMPLE / "int8.csv")
    done, summary, outputs = job(teacher=teacher, students=student, options="--classes bad,fair,good")
    assert (done.returncode, outputs) == (0, "exit-code=0\n"), done.stderr
    assert "HOLDS: sigma 0.010435 <= kappa 0.05" in summary
    (tmp_path / "confidistill.xml").unlink()
    done, summary, outputs = job(teacher=teacher, students="$(touch run); none.csv", options="--classes bad,fair,good")
    assert (done.returncode, summary, outputs) == (2, "", "exit-code=2\n")
    assert done.stderr == "error: $(touch run); none.csv: no such file\n"
    assert not (tmp_path / "run").exists() and not (tmp_path / "confidistill.xml").exists()


def test_the_action_compares_models_where_data_is_given(job):
    done, _, outputs = job(teacher="one", students="two", data="table.csv", text="body", label="stars")
    assert (done.returncode, outputs) == (2, "exit-code=2\n")
    assert "one" in done.stderr and done.stderr.count("\n") == 1  # there is no such model


def test_the_action_installs_the_revision_that_it_is_of(tmp_path):
    environment = os.environ | {
        "PATH": PATH, "GITHUB_ACTION_PATH": str(copy_source(tmp_path / "source")), "EXTRAS": "[parquet]",
        "PIP_TARGET": str(tmp_path / "site"), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0",
    }  # fmt: skip
    done = bash(STEPS["Install"]["run"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "confidistill" / "cli.py").is_file()


def test_the_hook_runs_what_it_says():
    (hook,) = YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")
    assert hook["pass_filenames"] is False and re.search(hook["files"], "predictions/teacher.csv.gz")
    arguments = ["examples/gate/teacher.csv", "examples/gate/student.csv", "--classes", "bad,fair,good"]
    command = [*shlex.split(hook["entry"]), *arguments]
    environment = os.environ | {"PATH": PATH, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "FAILS: sigma 0.113478" in done.stdout


def test_the_page_says_what_its_example_does():
    page = (ROOT / "docs" / "gate.md").read_text()
    (line,) = re.findall(r"^\$ (confidistill check .*)$", page, re.M)
    environment = os.environ | {"PATH": PATH, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(shlex.split(line), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "int8.csv: HOLDS" in done.stdout and "student.csv: FAILS" in done.stdout
    of_student = done.stdout[done.stdout.index("\nexamples/gate/student.csv:\n") :].splitlines()
    assert of_student[3].startswith("web ")
    for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.M):
        content = YAML(typ="safe").load(block)
        if isinstance(content, list):
            assert set(content[-1]["with"]) <= set(ACTION["inputs"])
        else:
            assert content["repos"][0]["hooks"][0]["id"] == "confidistill-check"
