"""One trial: the stages that its settings touch, run in a git worktree of its own, and kept as a DVC experiment.

The worktree shares the clone's DVC cache and run-cache, so what a trial doesn't touch comes out of the cache. It stands
until the trial is finished: a training that was killed goes on there from its checkpoints.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from confidistill.errors import UserError
from flows.logs import StageError
from flows.search.job import Job, git
from flows.search.settings import with_overrides
from flows.search.space import Settings, overrides
from tasks import processes, training_progress
from tasks.pairs import parse_measures
from tasks.params import PARAMS_FILE
from tasks.training_progress import Stops

# By a signal, memory's or a hand's, as Python says it (-9) or a shell that waited (137); 130 is Ctrl-C.
KILLED = re.compile(r"exited with (-\d|129|13[1-9]|14\d)")
TRIES = 3
_saving = threading.Lock()  # DVC notes what it saves in refs that all worktrees share

Measures = Mapping[str, Mapping[str, Any]]
"""By split, `train` among them, the measures of measures.json."""
Send = Callable[[str, Stops], None]
"""Has a stage run on a work pool and its result brought into the trial's folder, unless it is given up meanwhile."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial; measures only where it is complete."""

    state: Literal["complete", "pruned", "failed"]
    seconds: float
    measures: Measures | None = None
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """A trial by its label, which is its number, or `seed-7`; its experiment is `<study>-<label>`."""

    job: Job
    label: str
    settings: Settings

    @property
    def experiment(self) -> str:
        return f"{self.job.study}-{self.label}"

    @property
    def folder(self) -> Path:
        return self.job.folder / self.label

    @property
    def stages(self) -> list[str]:
        """The stages that the settings touch."""
        touched = any(key.startswith("intermediate.") for key in self.settings)
        stages = list(self.job.inputs)
        return stages if touched else stages[1:]

    @property
    def params(self) -> str:
        """The text of params.yaml with the trial's settings."""
        return with_overrides(self.job.params, self.job.pair, overrides(self.settings))

    def run(
        self, log: Callable[[str], None], stops: Stops, environment: dict[str, str], send: Send | None = None
    ) -> Outcome:
        """Run it to its end, from where it stands.

        Args:
            stops: asked after an epoch of stage 2.
            environment: of what is run here.
            send: where the stages marked for a GPU are run; None: here.

        Raises:
            StoppedError: the search is being ended.
        """
        started = time.monotonic()
        seen, given_up = 0, False

        def gives_up(sigmas: list[float]) -> bool:
            nonlocal seen, given_up
            if len(sigmas) > seen:
                seen = len(sigmas)
                given_up = stops(sigmas)
            return given_up

        try:
            self._prepare(log)
            for attempt in range(TRIES):
                try:
                    self._repro(log, environment, gives_up, send)
                    break
                except StageError as error:
                    if given_up:
                        return Outcome("pruned", time.monotonic() - started, reason=f"epoch {seen}")
                    if attempt + 1 == TRIES or not KILLED.search(str(error)):
                        raise
                    log(f"trial {self.label}: its training was killed: it goes on from its checkpoints")
            stops(self.sigmas())
            measures = parse_measures((self.folder / self._results / "measures.json").read_text())
            with _saving:
                shown = str(self._results / "metrics.json")  # in git or not: dvc exp show reads it
                save = ("exp", "save", "--force", "--name", self.experiment, "--include-untracked", shown)
                self._dvc(*save, self.stages[-1], log=log)
        except (StageError, UserError) as error:
            return Outcome("failed", time.monotonic() - started, reason=str(error))
        splits = {split: measured for split, measured in measures.items() if isinstance(measured, dict)}
        return Outcome("complete", time.monotonic() - started, splits)

    def _repro(
        self, log: Callable[[str], None], environment: dict[str, str], gives_up: Stops, send: Send | None
    ) -> None:
        """Bring the stages up to date, in their order: several that are run here by one command."""
        for elsewhere, stages in groupby(self.stages, key=lambda stage: send and stage in self.job.for_gpu):
            if send and elsewhere:
                for stage in stages:
                    send(stage, gives_up)
            else:
                repro = ("repro", "--single-item", *stages)
                self._dvc(*repro, log=log, environment=environment, unwanted=lambda: gives_up(self.sigmas()))

    def remove(self) -> None:
        """Remove the worktree, if there is one."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        git("worktree", "prune")

    def sigmas(self) -> list[float]:
        """Sigma(Tr) after each epoch of stage 2: of the training that runs, else of the one that is done."""
        names = (self.job.task, self.job.student)
        running = self.folder.joinpath(".checkpoints", "distill_prediction", *names, "best.json")
        done = self.folder.joinpath("models", "student", *names, "history.json")
        for path in (running, done):
            try:
                return training_progress.sigmas(path)
            except FileNotFoundError:
                continue
        return []

    @property
    def _results(self) -> Path:
        return Path("results", self.job.task, self.job.student)

    def _prepare(self, log: Callable[[str], None]) -> None:
        """The worktree with its settings and the inputs of its stages, whatever there is of it already."""
        if not (self.folder / ".git").exists():
            self.remove()
            git("worktree", "add", "--quiet", "--detach", str(self.folder), "HEAD")
        if not self.settings:
            # What the clone has of it is complete, but DVC caches metrics (cache: false) only where they are committed.
            self._dvc("commit", "--force", self.stages[-1], log=log, folder=Path.cwd())
        self._configure()
        (self.folder / "dvc.lock").write_text(self.job.lock)
        (self.folder / PARAMS_FILE).write_text(self.params, encoding="utf-8")
        made = {f"models/{name}/{self.job.task}/{self.job.student}" for name in self._made}
        inputs = {path for stage in self.stages for path in self.job.inputs[stage]} - made
        self._dvc("checkout", "--quiet", *sorted(inputs), log=log)

    def _configure(self) -> None:
        """Give the worktree what is the clone's own: settings of DVC, its cache, its remotes' paths where relative."""
        from dvc.config import Config
        from dvc.config_schema import RelPath

        local = Path(".dvc/config.local")
        if local.exists():
            shutil.copyfile(local, self.folder / local)
        remotes = Config(".dvc")["remote"]
        with Config(str(self.folder / ".dvc")).edit("local") as config:
            config["cache"]["dir"] = self.job.cache
            for name, remote in remotes.items():
                if paths := {key: str(value) for key, value in remote.items() if isinstance(value, RelPath)}:
                    config["remote"].setdefault(name, {}).update(paths)

    @property
    def _made(self) -> list[str]:
        return ["student", "intermediate"] if len(self.stages) == len(self.job.inputs) else ["student"]

    def _dvc(
        self,
        *arguments: str,
        log: Callable[[str], None],
        environment: dict[str, str] | None = None,
        unwanted: Callable[[], bool] | None = None,
        folder: Path | None = None,
    ) -> None:
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            log(line)

        status = processes.dvc(list(arguments), keep, environment, cwd=folder or self.folder, unwanted=unwanted)
        if status:
            said = [line for line in lines if line.startswith(("ERROR", "error"))] or lines[-1:]
            raise StageError(" ".join(said) or f"dvc {arguments[0]}: exit status {status}")
