"""A stage on a work pool: sent out, followed, sent out again where its worker was lost, brought home.

Results come back through the DVC remote and its run-cache, never through Prefect.
"""

import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Cancelling, Crashed, State

from confidistill.errors import UserError
from flows import server
from flows.logs import StageError
from flows.signs_of_life import sigmas_in
from flows.stage import on_the_network, push_inputs, run_cache
from tasks import dag, processes
from tasks.run_cache import NO_RESULT
from tasks.training_progress import Stops

ATTEMPTS = 5
POLL_SECONDS = 2.0
# A pod that waits for a node to be started, or for its image, is given this much longer than one that runs.
START_PATIENCE = 30

_out: set[UUID] = set()  # flow runs sent out and not over
_restoring = threading.Lock()  # worktrees share a run-cache, and DVC reads entries that another process is writing


@dataclass(frozen=True)
class Pool:
    """Where stages are sent: the deployment of the `stage` flow on one work pool, and what they run."""

    name: str
    deployment: UUID
    revision: str
    patience: int  # seconds without a sign of life after which a run is taken for lost


def find(name: str, patience: int) -> Pool:
    """The work pool of that name, ready to take stages of the current revision.

    Raises:
        UserError: it has no deployment of the `stage` flow; the tree has changes that a worker would not see, or
            origin has not got the revision.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{dag.LOCK}").splitlines()
    if changes:
        raise UserError(
            f"a work pool runs a committed revision, and {changes[0][3:]} has changes"
            f"{f' (and {len(changes) - 1} more)' if len(changes) > 1 else ''}: commit and push them"
        )
    revision = _git("rev-parse", "HEAD").strip()
    _check_pushed(revision)
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["stage"])),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[name])),
        )
    if not deployments:
        raise UserError(f"no deployment of the flow 'stage' is on a work pool called {name!r}: see docs/clusters.md")
    return Pool(name, deployments[0].id, revision, patience)


def _check_pushed(revision: str) -> None:
    """Refuse a revision that no branch of origin has: workers could not fetch it."""
    found = ["branch", "--remotes", "--list", "origin/*", "--contains", revision]
    if _git(*found):
        return
    fetch = subprocess.run(["git", "fetch", "--quiet", "origin"], capture_output=True, text=True)
    if fetch.returncode:
        why = fetch.stderr.partition("\n")[0]
        raise UserError(f"workers get revision {revision[:12]} from origin, which does not say that it has it: {why}")
    if not _git(*found):
        raise UserError(f"workers get revision {revision[:12]} from origin, which has not got it: `git push` it first")


def run(
    pool: Pool,
    name: str,
    log: Any,
    *,
    force: bool,
    key: str,
    tags: list[str],
    folder: Path = Path(),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    gives_up: Stops = lambda sigmas: False,
) -> None:
    """Run a stage on the pool and bring its result home, into the local cache, the tree and dvc.lock.

    Args:
        key: of this call; where the server is asked again with it, it sends nothing out twice.
        folder: this clone, or a worktree of it, whose dvc.lock the worker gets.
        settings: by section, over those of the stage's pair in the revision's params.yaml; they are in the folder's.
        gives_up: is asked as epochs are heard of; once it says so, the stage is called back.

    Raises:
        StageError: it failed there, was called back, or its worker was lost time and again.
        StoppedError: this run is being ended.
    """
    push_inputs(dag.inputs(name), folder)
    if not force and bring_home(name, folder):
        return  # a run whose driver was killed had finished it
    parameters = {
        "name": name,
        "revision": pool.revision,
        "lock": dag.read_lock(folder),
        "force": force,
        "patience": pool.patience,
        **({} if settings is None else {"settings": settings}),
    }
    for attempt in range(1, ATTEMPTS + 1):
        sent = server.patiently(partial(_send, pool, parameters, tags, f"{key}-{attempt}"), log)
        log(f"sent to work pool {pool.name}: flow run {sent.id}")
        _out.add(sent.id)
        state = _follow(sent, pool, log, gives_up)
        _out.discard(sent.id)
        if state.is_completed():
            if not bring_home(name, folder):
                raise StageError(f"{name}: done on {pool.name}, but the DVC remote has no result of it")
            return
        if not state.is_crashed():
            raise StageError(f"{name} on {pool.name}: {state.name}: {state.message}")
        log(f"its worker was lost ({state.message}): sending it out again")
    raise StageError(f"{name}: lost by {ATTEMPTS} workers of {pool.name} one after the other")


def cancel_all() -> None:
    """Ask for the end of the flow runs that are out, if the server can be asked."""
    with suppress(*server.AWAY):
        for run_id in list(_out):
            _cancel(run_id, "the run that sent it out was interrupted")


def _cancel(run_id: UUID, message: str) -> State:
    cancelling: State = Cancelling(message=message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, cancelling)
    return cancelling


def _send(pool: Pool, parameters: dict[str, Any], tags: list[str], key: str) -> FlowRun:
    sent: Any = run_deployment(
        pool.deployment,
        parameters=parameters,
        timeout=0,
        flow_run_name=parameters["name"],
        tags=tags,
        idempotency_key=key,
    )
    return sent  # the same one where this is asked again with the same key


def _follow(sent: FlowRun, pool: Pool, log: Any, gives_up: Stops) -> State:
    """The final state of a flow run, or that of one which is called back.

    One that shows no sign of life is declared crashed, one that waits is told of.
    """
    signs: Any = None
    seen = time.monotonic()
    told = False
    while True:
        if processes.stopping():
            raise processes.StoppedError("interrupted")
        state, touched, sigmas = server.patiently(partial(_look, sent.id), log)
        if state.is_final():
            return state
        if gives_up(sigmas):
            return server.patiently(partial(_cancel, sent.id, "its trial is given up"), log)
        if (state.id, touched) != signs:
            signs, seen, told = (state.id, touched), time.monotonic(), False
        if not told and not state.is_running() and time.monotonic() - seen > pool.patience:
            log(f"{state.name} for {pool.patience} s: is a worker of {pool.name} alive, and free?")
            told = True
        limit = pool.patience * (1 if state.is_running() else START_PATIENCE)
        if not state.is_scheduled() and time.monotonic() - seen > limit:
            server.patiently(lambda: _declare_lost(sent.id, pool.patience), log)
        time.sleep(POLL_SECONDS)


def _look(run_id: UUID) -> tuple[State, Any, list[float]]:
    """The state of a flow run, when its artifacts were last touched, by the server's clock, and sigma(Tr) by epoch."""
    with get_client(sync_client=True) as client:
        current = client.read_flow_run(run_id)
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    assert current.state
    return current.state, sorted(str(artifact.updated) for artifact in artifacts), sigmas_in(artifacts)


def _declare_lost(run_id: UUID, patience: int) -> None:
    lost: State = Crashed(message=f"no sign of life for {patience} s")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, lost, force=True)


@on_the_network
def bring_home(name: str, folder: Path = Path()) -> bool:
    """Whether the DVC remote had a result of the stage, which is now in the folder."""
    with _restoring:
        return run_cache("pull", name, folder) != NO_RESULT


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout
