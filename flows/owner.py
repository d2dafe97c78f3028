"""One owner a clone: who runs the pipeline, or a stage, in it now, and what became of the last one."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentTaskRunId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Crashed, State

from confidistill.errors import UserError
from flows import server
from tasks import processes

OWNER = Path(".dvc/tmp/flows.lock")  # lines: what it is and its process, its flow run, the server that it has started
SERVER = "prefect.server.api.server:create_app"
UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


@contextmanager
def own_clone(what: str) -> Iterator[None]:
    """Be the only pipeline or stage run in this clone, as a flow run of Prefect's.

    The lock passes to the processes that are started meanwhile: where this one is killed and leaves such a process,
    the next owner waits for its end, and then finds its stage done. It also ends the server that the killed one had for
    itself, or tells the one they share that its flow run is not running any more: nobody else can.

    Raises:
        UserError: another one that is alive owns the clone.
    """
    OWNER.parent.mkdir(parents=True, exist_ok=True)
    with OWNER.open("a+") as file:
        free = _try_lock(file.fileno())
        file.seek(0)
        last, its_run, its_server = (*file.read().splitlines(), "", "", "")[:3]
        ended = not _is_alive(last.rpartition(" ")[2])
        if not free:
            if not ended:
                raise UserError(f"{last} is at work in this clone: wait for its end, or use a clone of its own")
            print("waiting for the stage that a killed run left at work in this clone", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        if ended:
            _end_server(its_server)
        if its_run and ended:
            log = get_run_logger().info
            server.patiently(partial(_tell_end, UUID(its_run), f"{last}, has ended without a word"), log)
        file.truncate(0)
        file.write(f"{what}, process {os.getpid()}\n{flow_run.id or ''}\n{_own_server()}\n")
        file.flush()
        with processes.inherited(file.fileno()):
            yield


def _own_server() -> str:
    """The process of the server that Prefect has started for this run alone, if it has."""
    return "".join(str(child.pid) for child in psutil.Process().children() if _is_server(child))


def _end_server(pid: str) -> None:
    with suppress(ValueError, psutil.NoSuchProcess):
        if _is_server(process := psutil.Process(int(pid))):
            process.terminate()


def _is_server(process: psutil.Process) -> bool:
    try:
        return SERVER in process.cmdline()
    except psutil.Error:  # it has ended meanwhile, or is another user's
        return False


def _tell_end(run_id: UUID, message: str) -> None:
    """Have a flow run and its tasks counted as crashed, unless they are over or another server's."""
    crashed: State = Crashed(message=message)
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(run_id).state
        except ObjectNotFound:
            return
        if state is None or state.is_final():
            return
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNDER_WAY))),
        )
        parents = FlowRunFilterParentTaskRunId(any_=[task.id for task in tasks])
        sent_out = client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_task_run_id=parents))
        stand_ins = {child.parent_task_run_id for child in sent_out}  # workers go on with these
        for task in tasks:
            if task.id not in stand_ins:
                client.set_task_run_state(task.id, crashed, force=True)
        client.set_flow_run_state(run_id, crashed, force=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return False
