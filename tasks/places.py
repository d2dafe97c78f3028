"""What stages that run side by side run on: GPUs, or cores, of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from confidistill.errors import UserError

CPU = "cpu"


def devices(limit: int | None, processes: int) -> tuple[list[str], int]:
    """What stages marked for a GPU run on, one stage at a time on each, and how many of them a stage takes.

    The GPUs of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists, `processes` for a stage. Where there is none,
    `limit` times the CPU (once, if no limit is given): see `share_cores`.

    Raises:
        UserError: there are fewer GPUs than `limit`, or fewer than a stage takes.
    """
    found = _gpus()
    if not found:
        return [CPU] * (limit or 1), 1
    if limit is not None and not processes <= limit <= len(found):
        raise UserError(f"--gpus {limit}: this machine has {len(found)}, and a stage takes {processes} (`processes`)")
    if processes > len(found):
        raise UserError(f"params.yaml: processes: {processes}, but this machine has {len(found)} GPUs")
    return found[:limit], processes


def environment(held: Iterable[str]) -> dict[str, str]:
    """What a stage that holds these of `devices` sees besides: its GPUs and no others; nothing on a processor."""
    gpus = [device for device in held if device != CPU]
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}


def share_cores(stages: int) -> None:
    """Have what is started from here on compute with an equal share of the cores, for so many stages side by side.

    Each with all of them would take longer side by side than one after the other. What the user has set stays.
    """
    if stages > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // stages)))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listed = subprocess.run(query, capture_output=True, text=True).stdout if shutil.which(query[0]) else ""
        visible = ",".join(listed.split())
    return [gpu for gpu in visible.replace(" ", "").split(",") if gpu not in ("", "-1")]
