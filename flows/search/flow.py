"""The search under Prefect: which trial is run when, and what is told of it."""

import signal
from functools import partial
from queue import SimpleQueue
from typing import Any

from optuna.trial import FrozenTrial
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Cancelled, Completed, Failed, State
from prefect.task_runners import ThreadPoolTaskRunner

from confidistill.errors import UserError
from flows import artifacts, here, remote, server
from flows.logs import StageError
from flows.owner import own_clone
from flows.search.findings import confirmation
from flows.search.outcome import refutation, told
from flows.search.space import overrides, shown
from flows.search.study import Study
from flows.search.trial import Outcome, Trial
from tasks import places, processes
from tasks.params import load
from tasks.training_progress import Stops

REFUSED = "Refused"


def run(
    study: Study,
    *,
    trials: int,
    workers: int,
    exhaustive: bool,
    gpu_pool: str | None,
    patience: int,
) -> None:
    """Bring the study to its end: `trials`, or until one has won, and the winner confirmed at the study's fresh seeds.

    Args:
        workers: how many trials are under way at once.
        gpu_pool: the work pool that gets the trials' stages marked for a GPU; None: they run here.
        patience: seconds of silence of a work pool's run after which its stage is sent out again.

    Raises:
        UserError: the clone is at work, it has fewer GPUs than `workers`, the pool takes no stages of this revision,
            or the untuned pair itself cannot be run.
    """
    job = study.job
    places = [{} for _ in range(workers)] if gpu_pool else _places(workers)

    @flow(name="search", flow_run_name=job.study, task_runner=ThreadPoolTaskRunner(max_workers=workers))  # type: ignore[arg-type]
    def search(
        task: str, student: str, preset: str, trials: int, workers: int, seeds: list[int], gpu_pool: str | None
    ) -> State:
        try:
            with own_clone("a search"):
                pool = remote.find(gpu_pool, patience) if gpu_pool else None
                Search(study, places, pool, trials, exhaustive).to_its_end()
        except (UserError, StageError) as error:
            return Failed(name=REFUSED, message=str(error))
        return Completed(message=f"{len(study.findings.trials)} trials")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server.reached():
        about = (job.task, job.student, job.preset, trials, workers, study.seeds, gpu_pool)
        state: Any = search(*about, return_state=True)
    if state.name == REFUSED:
        raise UserError(state.message)
    state.result()


def _places(workers: int) -> list[dict[str, str]]:
    """What is particular in the environment of each trial that runs side by side with others: GPUs of its own."""
    devices, per_trial = places.devices(None, load().processes)
    if places.CPU in devices:
        places.share_cores(workers)
        return [{} for _ in range(workers)]
    if workers * per_trial > len(devices):
        raise UserError(f"--workers {workers}: this machine has {len(devices)} GPUs, and a trial takes {per_trial}")
    chunks = [devices[index * per_trial : (index + 1) * per_trial] for index in range(workers)]
    return [places.environment(chunk) for chunk in chunks]


class Search:
    """One run of a search: the loop that starts trials where there is room and hears what became of them."""

    def __init__(
        self, study: Study, places: list[dict[str, str]], pool: remote.Pool | None, trials: int, exhaustive: bool
    ) -> None:
        self._study = study
        self._pool = pool
        self._trials = trials
        self._exhaustive = exhaustive
        self._free = list(places)
        self._workers = len(places)
        self._under_way: dict[str, tuple[Trial, dict[str, str], PrefectFuture[Any]]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._log = get_run_logger().info

    def to_its_end(self) -> None:
        """Trials until one has won, and its confirmation, if there is something to confirm; so on where it fails."""
        try:
            self._search()
            while winner := self._study.findings.to_confirm:
                self._confirm(winner)
                if (found := self._study.findings).is_refuted(winner):
                    self._log(refutation(found, winner))
                    self._search()
        except BaseException:
            processes.stop_all()
            remote.cancel_all()
            raise

    def _search(self) -> None:
        _clean(self._study)
        left = self._study.unfinished()
        while True:
            while self._free and (left or self._may_begin()):
                self._submit(left.pop(0) if left else self._study.next())
            if not self._under_way:
                break
            trial, outcome = self._hear()
            number = int(trial.label)
            if number == 0 and outcome.measures is None:
                raise UserError(f"the pair as params.yaml has it cannot be run: {outcome.reason}")
            self._study.tell(number, outcome)
            trial.remove()
            if (found := self._study.findings).untuned:
                self._log(told(found, trial, outcome, self._trials, self._workers))
        if self._study.findings.untuned is None:
            raise UserError(
                f"trial 0 of {self._study.job.study}, the untuned student, has no sigma: where another clone runs it "
                "now, wait for its end; else give the search another name with --study"
            )

    def _may_begin(self) -> bool:
        count, found = self._study.count, self._study.findings
        if count and found.untuned is None:
            return False  # the accuracy guard compares with it
        won = found.is_won and not self._exhaustive
        return not won and count < self._trials and found.candidates_left > 0

    def _confirm(self, winner: FrozenTrial) -> None:
        """Run the winner, and the untuned student, at the fresh seeds."""
        found = self._study.findings
        untuned = found.trials[0]
        compared = [winner, untuned] if winner.number else [winner]
        waiting = {
            confirmation(each.number, seed): (each, seed)
            for seed in found.seeds
            for each in compared
            if (each.number, seed) not in found.confirmed
        }
        left = list(waiting)
        while left or self._under_way:
            while left and self._free:
                each, seed = waiting[label := left.pop(0)]
                of_seed = {"intermediate.seed": seed, "prediction.seed": seed}
                self._submit(Trial(self._study.job, label, {**found.settings_of(each), **of_seed}))
            trial, outcome = self._hear()
            if outcome.measures is None:
                raise UserError(f"{trial.experiment}: {outcome.reason}")
            self._study.confirm(*waiting[trial.label], outcome.measures)
            trial.remove()
            self._log(told(self._study.findings, trial, outcome, self._trials, self._workers))

    def _submit(self, trial: Trial) -> None:
        place = self._free.pop(0)

        @task(task_run_name=trial.experiment, cache_policy=NO_CACHE, persist_result=False)
        def run_trial(number: str, settings: dict[str, Any]) -> State:
            log = get_run_logger()
            send = partial(_send, self._pool, trial, log.info) if self._pool else None
            try:
                outcome = trial.run(log.debug, partial(self._stops, trial.label), place, send)
            except processes.StoppedError as error:
                return Cancelled(message=str(error))
            self._outcomes[trial.label] = outcome
            server.patiently(partial(_show, trial, outcome), self._log)
            if outcome.state == "complete":
                return Completed(message=shown(trial.settings))
            if outcome.state == "pruned":
                return Cancelled(name="Pruned", message=outcome.reason)
            return Failed(message=outcome.reason)

        future = run_trial.submit(trial.label, dict(trial.settings))
        self._under_way[trial.label] = (trial, place, future)
        future.add_done_callback(lambda _: self._ended.put(trial.label))

    def _hear(self) -> tuple[Trial, Outcome]:
        trial, place, future = self._under_way.pop(label := self._ended.get())
        self._free.append(place)
        future.wait()
        if label not in self._outcomes:
            future.result()  # raises what has stopped it
        return trial, self._outcomes.pop(label)

    def _stops(self, label: str, sigmas: list[float]) -> bool:
        return label.isdigit() and self._study.stops(int(label), sigmas)


def _send(pool: remote.Pool, trial: Trial, log: Any, stage: str, gives_up: Stops) -> None:
    """Run a stage of a trial on the pool, as part of the trial's task run."""
    remote.run(
        pool,
        stage,
        log,
        force=False,
        key=f"{task_run.id}-{stage}",
        tags=[*here.tags(stage), f"trial:{trial.experiment}"],
        folder=trial.folder,
        settings=overrides(trial.settings),
        gives_up=gives_up,
    )


def _clean(study: Study) -> None:
    """Remove worktrees that a search which was killed has left of trials that are finished."""
    for frozen in study.findings.trials:
        left = Trial(study.job, str(frozen.number), {})
        if left.folder.exists():
            left.remove()


def _show(trial: Trial, outcome: Outcome) -> None:
    """The trial's settings and result as an artifact of its task run."""
    lines = [f"- {key}: {value}" for key, value in trial.settings.items()] or [f"- {shown({})}"]
    result = [outcome.state, *([outcome.reason] if outcome.reason else [])]
    for split, measured in (outcome.measures or {}).items():
        result.append(f"{split}: sigma {measured['sigma']:.4f}, accuracy {100 * measured['accuracy_student']:.1f} %")
    text = "\n".join([f"## {trial.experiment}", *lines, "", *(f"- {line}" for line in result)])
    create_markdown_artifact(text, key=artifacts.key("trial", trial.experiment))
