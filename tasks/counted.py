"""Stages run by DVC, one after the other or side by side, a line for each, of so many in all."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from functools import partial

from confidistill.errors import UserError
from tasks import places, processes
from tasks.dag import Stage
from tasks.dvc import CHATTER, search_path
from tasks.schedule import Schedule
from tasks.training_progress import told
from tasks.warm import Warm

STAGE_LINE = re.compile(r"^(?P<does>Running stage|Stage) '(?P<name>[^']+)'")
# What the counter already tells, or nobody needs here.
QUIET = (*CHATTER, "> ", "Updating lock file", "Data and pipelines are up to date")
STOPPED = "the pipeline stopped at {}: mend what it says and run the same command again"


class Run:
    """One or more runs of DVC, a line for each stage that they run, of so many in all."""

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.ran: set[str] = set()
        self._seen: set[str] = set()  # DVC may name a stage twice
        self._started = time.monotonic()
        self._warm, self._own = Warm(), os.environ | {"PATH": search_path()}
        self._telling = threading.Lock()

    def repro(self, arguments: list[str]) -> None:
        """Run `dvc repro ARGUMENTS`.

        Raises:
            UserError: a stage has failed.
        """
        command = [sys.executable, "-m", "dvc", "repro", *arguments]
        environment = self._warm.environment(self._own)
        # Only stdout is read: progress bars are on stderr and stay on the terminal.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self._warm.see(line, self._own)
                self._tell(line)
        if process.returncode:
            raise UserError(STOPPED.format("the stage above"))

    def side_by_side(self, stages: Mapping[str, Stage], stale: Set[str], jobs: int, per_stage: int) -> None:
        """Bring `stages` up to date, of which `stale` are not, up to `jobs` at once, those first that come first.

        Each has its share of the cores, or `per_stage` GPUs of its own. Where one fails nothing more is started, and
        those that run go on to their end.

        Raises:
            UserError: a stage has failed; there are too few GPUs.
        """
        devices, per_stage = places.devices(None, per_stage)
        if devices == [places.CPU]:
            devices *= jobs
        schedule = Schedule(stages, workers=jobs, devices=devices, per_stage=per_stage)
        stale = set(stale)
        running: dict[Future[int], str] = {}
        failed: list[str] = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                while schedule and not (failed and not running):
                    for name in [] if failed else schedule.ready():
                        if name not in stale:
                            self._seen.add(name)
                            schedule.settle(name)
                        elif (held := schedule.start(name)) is not None:
                            running[pool.submit(self._one, name, places.environment(held))] = name
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        name = running.pop(future)
                        if future.result():
                            failed.append(name)
                            continue
                        schedule.finish(name)
                        if name in self.ran:
                            stale |= {other for other, stage in stages.items() if name in stage.upstream}
            except BaseException:
                processes.stop_all()
                raise
        if failed:
            raise UserError(STOPPED.format(" and ".join(failed)))

    def _one(self, name: str, environment: dict[str, str]) -> int:
        """Bring one stage up to date; DVC's exit status."""
        tell = partial(self._tell, before=f"{name}: ")
        with told(name, tell) if sys.stderr.isatty() else nullcontext():
            return processes.dvc(["repro", "--single-item", name], tell, environment)

    def _tell(self, line: str, before: str = "") -> None:
        with self._telling:
            if match := STAGE_LINE.match(line):
                self._seen.add(match["name"])
                if match["does"] == "Running stage":
                    self.ran.add(match["name"])
                    minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                    print(f"[{len(self._seen)}/{self.stages}] {match['name']}  at {minutes}:{seconds:02d}", flush=True)
            elif line.strip() and not line.startswith(QUIET):
                print(f"    {before}{line.rstrip()}", flush=True)
