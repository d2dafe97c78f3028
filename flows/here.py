"""This clone: profile and revision, the task and the student of a stage."""

import subprocess
from pathlib import Path
from typing import Any

PARAMS = Path("params.yaml")


def run_name() -> str:
    """A readable name for a run: the profile, the revision, and whether the tree differs from it."""
    profile = _params().get("profile", Path.cwd().name)
    revision = _output(["git", "rev-parse", "--short", "HEAD"]).strip() or "no revision"
    changes = _output(["git", "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{profile} {revision}{'+' if changes else ''}"


def tags(stage: str) -> list[str]:
    """The task and the student that a stage is about: what dvc.yaml's foreach and matrix put after the @."""
    about = stage.partition("@")[2]
    tasks, students = (list(_params().get(key) or {}) for key in ("tasks", "students"))
    for task in tasks:
        if about == task:
            return [f"task:{task}"]
        for student in students:
            if about == f"{task}-{student}":
                return [f"task:{task}", f"student:{student}"]
    return [f"student:{student}" for student in students if about == student]


def _params() -> dict[str, Any]:
    from ruamel.yaml import YAML

    return (YAML(typ="safe").load(PARAMS) or {}) if PARAMS.exists() else {}


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout
