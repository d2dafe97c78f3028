"""One stage: run in this clone (`reproduce`), or as the flow that a worker of a work pool runs (`stage`).

The worker's current folder is a clone of the project that is its own; it shares a DVC remote with the driver.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed, State

from confidistill.errors import UserError
from flows import PATIENCE
from flows.logs import StageError
from flows.owner import own_clone
from flows.search.settings import write_settings
from flows.signs_of_life import signs_of_life
from tasks import dag, params, places, processes, training_progress
from tasks.dvc import CHATTER
from tasks.run_cache import NO_RESULT

REVISION = re.compile(r"[0-9a-f]{40}")
# A DVC remote or a git server that is away for a while: 8 more tries over about 5 minutes.
RETRY_DELAYS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 64.0]
RAN, RESTORED, UNCHANGED = "Completed", "Restored", "Up to date"


def reproduce(name: str, log: Any, *, force: bool = False, devices: Sequence[str] = ()) -> str:
    """`dvc repro --single-item NAME`, each line to `log`: RAN, RESTORED from the run-cache, or UNCHANGED.

    Raises:
        StageError: it has failed, with the last line that it printed.
    """
    lines: list[str] = []

    def keep(line: str) -> None:
        if not line.startswith(CHATTER):
            log(line)
            lines.append(line)

    arguments = ["repro", "--single-item", *(["--force"] if force else []), name]
    with training_progress.told(name, log):
        status = processes.dvc(arguments, keep, places.environment(devices))
    if status:
        raise StageError(_reason(name, status, lines))
    if any(line.startswith(f"Running stage '{name}'") for line in lines):
        return RAN
    return RESTORED if any("is cached - skipping run" in line for line in lines) else UNCHANGED


def transfer(*arguments: str, folder: Path = Path()) -> None:
    """A DVC command in a clone, or a worktree of it, that talks to the remote.

    Raises:
        StageError: it has failed, with DVC's reason.
    """
    lines: list[str] = []
    if processes.dvc(list(arguments), lines.append, cwd=folder):
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise StageError(f"dvc {arguments[0]}: {' '.join(errors)}")


def run_cache(direction: str, name: str, folder: Path = Path()) -> int:
    """Send a stage's result to the DVC remote, or get it from there: 0, or NO_RESULT.

    Raises:
        StageError: it has failed, with the last line that it printed.
    """
    lines: list[str] = []
    status = processes.run_cache(direction, name, lines.append, cwd=folder)
    if status not in (0, NO_RESULT):
        raise StageError(f"{name}: cannot {direction} its result: {lines[-1] if lines else f'exit status {status}'}")
    return status


def _again(_task: Any, _run: Any, state: State) -> bool:
    """Whether a failed transfer is tried again: a user's mistake or an interruption is not."""
    try:
        state.result()
    except StageError:
        return True
    except Exception:
        return False
    return False


on_the_network = task(
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=_again,
)


@on_the_network
def push_inputs(paths: list[str], folder: Path = Path()) -> None:
    """Send what a stage needs to the DVC remote."""
    if paths:
        transfer("push", *paths, folder=folder)


@on_the_network
def fetch_revision(revision: str) -> None:
    """Ask origin for a revision that this clone has not got yet."""
    if not _has(revision) and _git("fetch", "--quiet", "origin"):
        raise StageError("git fetch origin has failed")


def check_out(revision: str) -> None:
    """Make this clone's tree that of a revision, whatever it was.

    Raises:
        UserError: this clone has no such revision.
        StageError: git refuses.
    """
    if not _has(revision):
        raise UserError(f"origin has no revision {revision}: `git push` it before it can run on a work pool")
    if _git("checkout", "--quiet", "--force", "--detach", revision):
        raise StageError(f"git checkout {revision} has failed")


@on_the_network
def pull_inputs(paths: list[str]) -> None:
    """Get what a stage needs from the DVC remote."""
    if paths:
        transfer("pull", "--force", *paths)


@on_the_network
def push_results(name: str) -> None:
    """Send all that a stage has written, and its run-cache entry, to the DVC remote."""
    run_cache("push", name)


@flow(name="stage", flow_run_name="{name}", persist_result=False)
def stage(
    name: str,
    revision: str,
    lock: str,
    force: bool = False,
    patience: int = PATIENCE,
    settings: dict[str, dict[str, Any]] | None = None,
) -> State:
    """Run one stage of one revision here, its inputs from the DVC remote and its results to it.

    Args:
        name: a stage of that revision's dvc.yaml; anything else is refused.
        revision: a commit, 40 hexadecimal digits.
        lock: the driver's dvc.lock.
        force: run it even if it is up to date.
        patience: seconds without a sign of life after which the driver takes this run for lost.
        settings: by section, over those of the stage's pair in params.yaml: a trial of a search; none: as committed.
    """
    logger = get_run_logger()
    try:
        if not REVISION.fullmatch(revision):
            raise UserError(f"{revision!r} is no commit: 40 hexadecimal digits are")
        with own_clone(f"stage {name}"), signs_of_life(name, patience) as keep:
            fetch_revision(revision)
            check_out(revision)
            params.load()  # names that a shell would run are refused before DVC makes commands of them
            if settings is not None:
                write_settings(name, settings)
            dag.write_lock(lock)
            if name not in dag.names():
                raise UserError(f"refused: dvc.yaml of {revision} defines no stage {name!r}")
            pull_inputs(dag.inputs(name))

            def log(line: str) -> None:
                logger.info(line)
                keep(line)

            outcome = reproduce(name, log, force=force)
            push_results(name)
    except (StageError, UserError) as error:
        logger.error(str(error))
        return Failed(message=str(error))
    except BaseException:
        processes.stop_all()
        raise
    return Completed(name=outcome, message=outcome)


def _has(revision: str) -> bool:
    return _git("cat-file", "-e", f"{revision}^{{commit}}") == 0


def _git(*arguments: str) -> int:
    log = logging.getLogger("confidistill.git")
    return processes.run(["git", *arguments], log.debug)


def _reason(name: str, status: int, lines: list[str]) -> str:
    """One line that says why: what the stage's own command printed last, before DVC's summary."""
    said = [line for line in lines if not line.startswith(("ERROR: failed to reproduce", "> ", "Running stage"))]
    return f"{name}: exit status {status}: {said[-1] if said else 'it printed nothing'}"
