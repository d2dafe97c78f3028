"""How a stage is started: `python -m tasks.<stage> [TASK] [STUDENT]`; under DVC without the names.

No name of params.yaml stands in a command of dvc.yaml, where a shell would read it, and DVC quotes none: DVC tells a
stage in the variable DVC_STAGE which one it is.
"""

import inspect
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confidistill.errors import UserError, exits_cleanly
from tasks import params as params_file
from tasks.names import stage_names
from tasks.params import Params

MINIMUM_FREE_BYTES = 256 * 2**20


def stage(main: Callable[..., None]) -> Callable[[], None]:
    """Make `main(params, *names)` a command whose arguments are the names it takes."""
    kinds = list(inspect.signature(main).parameters)[1:]
    module = Path(inspect.getfile(main)).stem

    @exits_cleanly
    def command() -> None:
        free = shutil.disk_usage(Path.cwd()).free
        if free < MINIMUM_FREE_BYTES:
            raise UserError(f"{Path.cwd()}: only {free // 2**20} MiB of disk are free: free some space")
        params = params_file.load()
        main(params, *_names(module, kinds, params))

    return command


def _names(module: str, kinds: list[str], params: Params) -> tuple[str, ...]:
    """The task, the student, the seed and the variant that a stage is run for: as given, else as DVC says."""
    given, stage = tuple(sys.argv[1:]), os.environ.get("DVC_STAGE")
    if not given and stage and kinds:
        seeds = map(str, {*params.seeds, *params.floor.seeds})
        choices: dict[str, Iterable[str]] = {
            "task": params.tasks,
            "student": params.students,
            "seed": seeds,
            "variant": params.export,
        }
        return stage_names(stage, [choices[kind] for kind in kinds])
    if len(given) != len(kinds):
        raise UserError(f"usage: python -m tasks.{module} {' '.join(kinds).upper()}".rstrip())
    return given


def gpu_stage(main: Callable[..., None]) -> Callable[[], None]:
    """A stage marked for a GPU; without one it runs on the processor, unless the GPUs that were named are not there."""
    command = stage(main)

    @exits_cleanly
    def launch() -> None:
        check_gpus()
        command()

    return launch


def check_gpus() -> None:
    """Refuse a CUDA_VISIBLE_DEVICES that names GPUs which are not there: CUDA would show none of them, in silence.

    Empty, or -1, is the processor on purpose.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    if named and named != "-1":
        import torch

        found = torch.cuda.device_count()
        if found < len(named.split(",")):
            raise UserError(
                f"CUDA_VISIBLE_DEVICES is {named}: {found} of these GPUs can be used: correct it, or unset it "
                "to run on the processor"
            )


def training_stage(main: Callable[..., None], *, before: Callable[..., None] | None = None) -> Callable[[], None]:
    """A stage that trains: with `processes` > 1 in params.yaml it starts itself again under torchrun.

    `before` takes the same names and is long work for one process, done before there are several.
    """
    command = stage(main)
    module = Path(inspect.getfile(main)).stem

    @exits_cleanly
    def launch() -> None:
        check_gpus()
        processes = params_file.load().processes
        if processes > 1 and "LOCAL_RANK" not in os.environ:
            if before:
                stage(before)()
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            os.execv(
                sys.executable,
                [*torchrun, f"--nproc-per-node={processes}", "-m", f"tasks.{module}", *sys.argv[1:]],
            )
        command()

    return launch


def training(settings: Any, seed: int | None = None) -> Any:
    """The library's `Training` from a section of params.yaml, perhaps with another seed; other keys are left out."""
    from dataclasses import fields

    from confidistill.distillation.arguments import Training

    values = {field.name: getattr(settings, field.name) for field in fields(Training)}
    return Training(**values | ({} if seed is None else {"seed": seed}))


def terms(loss: Any) -> Any:
    """The library's terms of a `loss` of params.yaml."""
    from confidistill.distillation.terms import Term

    return tuple(Term(term.name, term.weight) for term in loss)


def checkpoints(*names: str) -> Path:
    """Where a training stage keeps its checkpoints.

    Not inside the stage's output: DVC deletes an output before it runs the stage again, unless the output is marked
    `persist`, and then its run-cache, which brings results home from other machines, leaves the stage out.
    """
    return Path(".checkpoints", *names)
