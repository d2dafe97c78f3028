"""What is installed by which name: the wheel in an environment of its own, the extras, the clone."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.bare import ROOT, bare_environment, base_requirements, build_wheel

FILE = "p0,p1,label\n" + "0.9,0.1,0\n0.2,0.8,1\n" * 20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory, wheel):
    return bare_environment(tmp_path_factory.mktemp("bare") / "venv", wheel)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "teacher.csv").write_text(FILE)
    (tmp_path / "some.parquet").write_text("PAR1")
    return tmp_path


def run(bare: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(bare.with_name("confidistill")), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    version = distribution("confidistill").version
    assert {name.partition("/")[0] for name in names} == {"confidistill", f"confidistill-{version}.dist-info"}
    assert {"confidistill/py.typed", "confidistill/report/page.html"} <= set(names)


def test_check_where_nothing_else_is_installed(bare, folder):
    program = "import importlib.util as u; print([n for n in ('torch', 'dvc', 'prefect', 'tasks') if u.find_spec(n)])"
    found = subprocess.run([bare, "-I", "-c", program], cwd=folder, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr
    done = run(bare, "check", "teacher.csv", "teacher.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "HOLDS: sigma 0.000000 <= kappa 0.05" in done.stdout
    listed = run(bare, "--help", cwd=folder)
    assert listed.returncode == 0
    assert "Of the pipeline, which is not installed here." in listed.stdout


LACKING = {
    "plot": (["check", "teacher.csv", "teacher.csv", "--plot", "plot.svg"], "pip install 'confidistill[plot]'"),
    "parquet": (["check", "teacher.csv", "some.parquet"], "pip install 'confidistill[parquet]'"),
    "distill": (
        ["compare", "--teacher", "a", "--student", "b", "--data", "teacher.csv", "--text", "p0", "--label", "label"],
        "pip install 'confidistill[distill]'",
    ),
    "pipeline": (["init", "table.csv", "--text", "body"], "it is the pipeline's, which is a clone of the repository"),
}


@pytest.mark.parametrize(("arguments", "message"), LACKING.values(), ids=LACKING)
def test_a_command_says_what_it_lacks(bare, folder, arguments, message):
    before = sorted(folder.iterdir())
    done = run(bare, *arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not done.stdout and sorted(folder.iterdir()) == before


def test_the_pipeline_is_on_the_path_of_a_clone_that_is_installed(tmp_path):
    """An editable install puts the clone on the path, so that its console script finds tasks and flows anywhere."""
    command = [sys.executable, "-c", "import tasks, flows; print(tasks.__file__, flows.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(ROOT / name / "__init__.py") for name in ("tasks", "flows")]


def declared(*extras: str) -> set[str]:
    """The distributions that confidistill with these extras requires by name."""
    names = set(base_requirements())
    for line in distribution("confidistill").requires or []:
        if (match := re.search(r"extra == ['\"](\w+)", line)) and match[1] in extras:
            names.add(re.split(r"[^\w.-]", line)[0])
    return {name.lower().replace("_", "-") for name in names}


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("confidistill", ("plot", "parquet", "distill", "onnx", "export")),
        ("tasks", ("plot", "parquet", "distill", "onnx", "export", "pipeline")),
        ("flows", ("plot", "parquet", "distill", "onnx", "export", "pipeline")),
    ],
)
def test_what_is_imported_is_required(package, extras):
    brought = packages_distributions()
    imported = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module)
    tops = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names - {"confidistill", "tasks", "flows"}
    required = declared(*extras)
    missing = {top for top in tops if not {name.lower().replace("_", "-") for name in brought[top]} & required}
    assert missing == set()
