"""This machine and this clone: GPUs, profile and revision, the task and the student of a stage."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from confidistill.errors import UserError

PARAMS = Path("params.yaml")
CPU = "cpu"


def devices(limit: int | None) -> tuple[list[str], int]:
    """What stages marked for a GPU run on, one stage at a time on each, and how many of them a stage takes.

    The GPUs of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists; a stage takes `processes` of params.yaml.
    Where there is none, `limit` times the CPU (once, if no limit is given): a training uses all of its cores, and
    two side by side take far longer than one after the other.

    Raises:
        UserError: there are fewer GPUs than `limit`, or fewer than a stage takes.
    """
    found = _gpus()
    if not found:
        return [CPU] * (limit or 1), 1
    processes = int(_params().get("processes", 1))
    if limit is not None and not processes <= limit <= len(found):
        raise UserError(f"--gpus {limit}: this machine has {len(found)}, and a stage takes {processes} (`processes`)")
    if processes > len(found):
        raise UserError(f"{PARAMS}: processes: {processes}, but this machine has {len(found)} GPUs")
    return found[:limit], processes


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        visible = ",".join(_output(query).split()) if shutil.which(query[0]) else ""
    return [gpu for gpu in visible.replace(" ", "").split(",") if gpu not in ("", "-1")]


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
