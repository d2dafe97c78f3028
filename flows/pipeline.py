"""The pipeline under Prefect: each stale stage, when its upstream ones are done, where there is room.

Usage: python -m flows.pipeline [STAGE]... [--force] [--dry] [--workers N] [--gpus N] [--gpu-pool NAME]
       [--patience SECONDS]
Exit status: 0 done, 1 a stage has failed, 2 unusable input, 130 interrupted.
"""

import signal
import sys
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Annotated, Any

import typer
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Cancelled, Completed, Failed, State
from prefect.task_runners import ThreadPoolTaskRunner

from confidistill.errors import UserError, exits_cleanly
from flows import PATIENCE, artifacts, here, remote, server
from flows.logs import StageError
from flows.owner import own_clone
from flows.stage import RESTORED, UNCHANGED, reproduce
from tasks import dag, places, processes
from tasks.params import load
from tasks.preflight import preflight
from tasks.schedule import Schedule

WORKERS = 2
TELL_SECONDS = 60.0  # of waiting, then twice as many, and so on
UNLIMITED = 10_000  # threads: the schedule sets the limits
REFUSED = "Refused"  # the state of a run that unusable input kept from starting


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(name: str, *, force: bool, devices: list[str], pool: remote.Pool | None) -> State:
    """Run a stage here, or on a work pool; its lines are this task run's logs."""
    log = get_run_logger().info
    tags = here.tags(name)
    # Before a tagged task runs, Prefect asks its server for room by each tag; a server on SQLite is often busy then,
    # and is asked again two seconds later. These tags limit nothing, so they come with the state at the end.
    if context := TaskRunContext.get():
        context.task_run.tags.extend(tags)
    try:
        if pool:
            remote.run(pool, name, log, force=force, key=str(task_run.id), tags=tags)
            return Completed(name=RESTORED, message=f"on {pool.name}")
        outcome = reproduce(name, log, force=force, devices=devices)
    except (StageError, UserError, processes.StoppedError) as error:
        return Failed(message=str(error))
    return Completed(name=outcome, message=outcome)


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def show(name: str, failed: str | None = None) -> State:
    """A task run for a stage that is not run: it is up to date, or needs one that has failed."""
    if failed:
        return Cancelled(name="Skipped", message=f"needs {failed}, which has failed")
    return Completed(name=UNCHANGED, message="up to date: not run")


@flow(
    name="pipeline",
    flow_run_name=here.run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=UNLIMITED),  # type: ignore[arg-type]
    persist_result=False,
)
def pipeline(
    targets: list[str] | None = None,
    force: bool = False,
    workers: int = WORKERS,
    gpus: int | None = None,
    gpu_pool: str | None = None,
    patience: int = PATIENCE,
) -> State:
    """Bring the stages of dvc.yaml up to date.

    Args:
        targets: stages to bring up to date with what they need; none: all of them.
        force: run them even if they are up to date.
        workers: how many stages run here side by side.
        gpus: how many GPUs of this machine to use, one stage at a time on each; none: all that it has. Without
            a GPU, how many of the stages marked for one run on the CPU side by side, each on its share of the cores;
            none: one at a time.
        gpu_pool: the work pool that gets the stages marked for a GPU; none: they run here.
        patience: seconds of silence of a work pool's run after which its stage is sent out again.
    """
    try:
        with own_clone("a pipeline"):
            stages = plan(targets or [])
            pool = remote.find(gpu_pool, patience) if gpu_pool else None
            devices, per_stage = ([], 1) if pool else places.devices(gpus, load().processes)
            places.share_cores(devices.count(places.CPU))
            schedule = Schedule(
                stages, workers=workers, devices=devices, per_stage=per_stage, elsewhere=pool is not None
            )
            return Run(stages, schedule, pool, force).to_its_end()
    except UserError as error:
        get_run_logger().error(str(error))
        return Failed(name=REFUSED, message=str(error))


def plan(targets: list[str]) -> dict[str, dag.Stage]:
    """The stages that `targets` take, once params.yaml holds nothing that would stop one of them.

    Raises:
        UserError: it does, or dvc.yaml has no such target.
    """
    preflight(load())
    return dag.read(targets)


class Run:
    """One run of the pipeline: the loop that starts what the schedule allows and hears what became of it."""

    def __init__(self, stages: dict[str, dag.Stage], schedule: Schedule, pool: remote.Pool | None, force: bool) -> None:
        self._stages = stages
        self._schedule = schedule
        self._pool = pool
        self._force = force
        self._log = get_run_logger()
        self._progress = artifacts.Progress(len(stages))
        self._futures: dict[str, PrefectFuture[Any]] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._stale: set[str] = set()
        self._doubtful: set[str] = set()  # were up to date, but something upstream has run since
        self._tally: dict[str, list[str]] = {"run": [], "up to date": [], "failed": [], "skipped": []}

    def to_its_end(self) -> State:
        """Until every stage is done, failed or given up; dvc.lock is then as `dvc repro` leaves it."""
        before = dag.lock_entries()
        self._stale = set(self._stages) if self._force else dag.changed(self._stages)
        try:
            while self._schedule:
                self._start_what_may()
                if self._schedule:
                    self._hear(self._next_end())
        except BaseException:
            processes.stop_all()
            remote.cancel_all()
            raise
        finally:
            dag.order_lock(before, self._stages)
        for future in self._futures.values():
            future.wait()
        server.patiently(artifacts.publish, self._log.info)
        return self._verdict()

    def _start_what_may(self) -> None:
        while ready := self._schedule.ready():
            if doubtful := self._doubtful.intersection(ready):
                self._stale |= dag.changed(doubtful)
                self._doubtful -= doubtful
            fresh = [name for name in ready if name not in self._stale]
            for name in fresh:
                self._schedule.settle(name)
                self._submit(show, name)
                self._count(name, "up to date")
            if not fresh:
                break
        for name in ready:
            devices = self._schedule.start(name)
            if devices is None:
                continue
            pool = self._pool if self._schedule.runs_elsewhere(name) else None
            future = self._submit(run_stage, name, force=self._force, devices=devices, pool=pool)
            future.add_done_callback(partial(self._tell_end, name))

    def _submit(self, stage_task: Any, name: str, **settings: Any) -> PrefectFuture[State]:
        upstream = () if "failed" in settings else self._stages[name].upstream
        needed = [self._futures[other] for other in upstream]
        future = stage_task.submit(name, **settings, wait_for=needed)
        self._futures[name] = future
        return future

    def _tell_end(self, name: str, _: object) -> None:
        self._ended.put(name)

    def _next_end(self) -> str:
        """The stage that ends next; meanwhile, ever more rarely, what is waited for is told."""
        seconds = TELL_SECONDS
        while True:
            with suppress(Empty):
                return self._ended.get(timeout=seconds)
            self._log.info(f"waiting for {', '.join(self._schedule.running())}")
            seconds *= 2

    def _hear(self, name: str) -> None:
        future = self._futures[name]
        future.wait()
        state = future.state
        if state.is_completed():
            self._schedule.finish(name)
            if state.name != UNCHANGED:
                behind = {other.name for other in self._stages.values() if name in other.upstream}
                self._doubtful |= behind - self._stale
            self._count(name, "up to date" if state.name == UNCHANGED else "run")
            return
        self._log.error(f"{name} has failed: {state.message}")
        self._count(name, "failed")
        for skipped in self._schedule.fail(name):
            self._submit(show, skipped, failed=name)
            self._count(skipped, "skipped")

    def _count(self, name: str, outcome: str) -> None:
        self._tally[outcome].append(name)
        self._progress.add(name)

    def _verdict(self) -> State:
        counts = ", ".join(f"{len(names)} {outcome}" for outcome, names in self._tally.items() if names)
        failed, skipped = self._tally["failed"], self._tally["skipped"]
        if not failed:
            return Completed(message=f"{len(self._stages)} stages: {counts}")
        message = f"{counts}; failed: {', '.join(failed)}"
        return Failed(message=f"{message}; skipped: {', '.join(skipped)}" if skipped else message)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
@exits_cleanly
def main(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Only these, with what they need.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run stages even if they are up to date.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Print what would run, and run nothing.")] = False,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Stages side by side here.")] = WORKERS,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Stages marked for a GPU side by side: one a GPU; without one: 1."),
    ] = None,
    gpu_pool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Work pool for the stages marked for a GPU.")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Silence that means lost.")] = PATIENCE,
) -> None:
    """Run the DVC pipeline under Prefect."""
    stages = plan(targets or [])
    if dry:
        _tell_what_would_run(stages, force)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server.reached():
        state = pipeline(targets, force, workers, gpus, gpu_pool, patience, return_state=True)
    if state.name == REFUSED:
        raise UserError(state.message or "")
    print(f"{'failed' if state.is_failed() else 'done'}: {state.message}")
    sys.exit(0 if state.is_completed() else 1)


def _tell_what_would_run(stages: dict[str, dag.Stage], force: bool) -> None:
    stale = set(stages) if force else dag.changed(stages)
    behind: set[str] = set()  # downstream of something stale: what comes out of that decides
    for name, stage in stages.items():
        if stage.upstream & (stale | behind):
            behind.add(name)
        outcome = "would run" if name in stale else "would run if its inputs change" if name in behind else UNCHANGED
        print(f"{name}: {outcome.lower()}")


if __name__ == "__main__":
    app(prog_name="python -m flows.pipeline")
