"""This machine and this clone: GPUs, profile and revision, the task and the student of a stage."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from confidistill.errors import UserError

PARAMS = Path("params.yaml")


def gpus(limit: int | None) -> list[str]:
    """GPUs to use: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists; the first `limit`.

    Raises:
        UserError: there are fewer than `limit`.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        visible = ",".join(_output(query).split()) if shutil.which(query[0]) else ""
    found = [gpu for gpu in visible.split(",") if gpu.strip()]
    if limit is not None and limit > len(found):
        raise UserError(f"--gpus {limit}: this machine has {len(found)}")
    return found[:limit]


def processes_per_stage() -> int:
    """How many processes, one a GPU, a training stage starts: `processes` of params.yaml."""
    return int(_params().get("processes", 1))


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
