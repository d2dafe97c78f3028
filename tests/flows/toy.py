"""A small project of its own to run the flows on: git, DVC, a remote, stages of milliseconds."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from ruamel.yaml import YAML

NAMES = {"movies": "a", "products": "b", "S_3L": "x", "S_2L": "y"}  # the quickstart's tasks and students
TOY_YAML = """\
seed: 1
rate: 5.0e-5
shapes:
  x: {layers: 2, dropout: 0.10, note: "a text: long enough to be folded, if a YAML writer folds at eighty columns"}
  y: {layers: 3, dropout: null, note: ""}
"""
DVC_YAML = """\
stages:
  download:
    foreach: ${tasks}
    do:
      cmd: python work.py download source-${key}.txt data/${key}.txt
      deps: ["source-${key}.txt"]
      params: ["tasks.${key}"]
      outs: ["data/${key}.txt"]
  train:
    foreach: ${tasks}
    do:
      cmd: python work.py train data/${key}.txt models/${key} ${steps} ${seed}
      deps: ["data/${key}.txt"]
      params: [toy.yaml: [seed, rate]]
      outs: ["models/${key}"]
      meta: {device: gpu}
  distil:
    matrix: {task: "${tasks}", student: "${students}"}
    cmd: python work.py distil models/${item.task} students/${item.task}-${item.student}.txt
    deps: ["models/${item.task}"]
    params: [toy.yaml: ["shapes.${item.student}"]]
    outs: ["students/${item.task}-${item.student}.txt"]
  report:
    cmd: python work.py table students results/table.md
    deps: [students]
    outs: [results/table.md]
vars:
  - steps: 4
  - toy.yaml
"""
LIMIT_SECONDS = 240.0  # of a command
IGNORED = "/data\n/models\n/students\n/results\n"


@dataclass(frozen=True)
class Event:
    """The start or the end of a stage's command: where, with which GPUs, when."""

    stage: str
    pid: int
    folder: str
    gpus: str
    at: float


@dataclass(frozen=True)
class Span:
    """From when to when a stage's command ran, and with which GPUs."""

    start: float
    end: float
    gpus: str


@dataclass(frozen=True)
class Toy:
    """A clone of the toy project."""

    root: Path
    control: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CUDA_", "DVC_"))}
        return kept | {
            "TOY_CONTROL": str(self.control),
            "PREFECT_HOME": str(self.home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **more,
        }

    def run(
        self, *command: str, seconds: float = LIMIT_SECONDS, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A command that must be over in so many seconds; where it is not, what it has printed is shown."""
        try:
            return subprocess.run(
                command,
                cwd=self.root,
                env=self.environment(**environment),
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            printed = b"".join(part for part in (error.stdout, error.stderr) if isinstance(part, bytes))
            raise AssertionError(f"not over after {seconds} s: {command}\n{printed.decode(errors='replace')}") from None

    def check(self, *command: str, **environment: str) -> str:
        done = self.run(*command, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pipeline(
        self, *arguments: str, seconds: float = LIMIT_SECONDS, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "flows.pipeline", *arguments, seconds=seconds, **environment)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A pipeline in the background; its output goes to `control/output`."""
        with (self.control / "output").open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.pipeline", *arguments],
                cwd=self.root,
                env=self.environment(**environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def clone(self, name: str) -> "Toy":
        """Another clone of the same origin, with its own cache and the same control folder."""
        origin = subprocess.check_output(["git", "remote", "get-url", "origin"], cwd=self.root, text=True).strip()
        target = self.root.parent / name
        subprocess.run(["git", "clone", "--quiet", origin, str(target)], check=True)
        return Toy(target, self.control, self.home)

    def commit(self, push: bool = True, **texts: str) -> None:
        """Write files, commit and push."""
        for name, text in texts.items():
            (self.root / name.replace("__", ".")).write_text(text)
        git = ["git", "-c", "user.name=toy", "-c", "user.email=toy@example.org"]
        self.check(*git, "add", "-A")
        self.check(*git, "commit", "--quiet", "--allow-empty", "-m", "change")
        if push:
            self.check("git", "push", "--quiet", "origin", "HEAD:main")

    def machine_with_gpus(self, *indices: str) -> str:
        """A PATH on which nvidia-smi lists these GPUs."""
        program = self.control / "bin/nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' {' '.join(indices)}\n")
        program.chmod(0o755)
        return os.pathsep.join([str(program.parent), self.environment()["PATH"]])

    def run_name(self) -> str:
        """What a run of the pipeline at this revision is called."""
        profile = YAML(typ="safe").load(self.root / "params.yaml")["profile"]
        return f"{profile} {self.check('git', 'rev-parse', '--short', 'HEAD').strip()}"

    @property
    def output(self) -> str:
        """What the pipeline in the background has printed so far."""
        return (self.control / "output").read_text()

    @property
    def lock(self) -> str:
        return (self.root / "dvc.lock").read_text()

    def trace(self, what: str = "start") -> list["Event"]:
        """The starts (or ends) of stages' commands, in order."""
        trace = self.control / "trace"
        lines = [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []
        return [
            Event(stage, int(pid), folder, gpus, float(at))
            for kind, stage, pid, folder, gpus, at in lines
            if kind == what
        ]

    def started(self) -> list[str]:
        """Names of the stages whose commands were started, in order."""
        return [event.stage for event in self.trace()]

    def spans(self) -> dict[str, Span]:
        """When each stage's command ran."""
        starts = {event.stage: event for event in self.trace()}
        return {end.stage: Span(starts[end.stage].at, end.at, end.gpus) for end in self.trace("end")}

    def reset(self) -> None:
        """Forget what the control folder said and saw."""
        shutil.rmtree(self.control)
        self.control.mkdir()

    def tell(self, name: str, text: str = "") -> None:
        (self.control / name).write_text(text)


def build(folder: Path) -> Toy:
    """A new toy project under `folder`, with an origin and a DVC remote beside it."""
    origin, root, control = folder / "origin.git", folder / "driver", folder / "control"
    control.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(origin)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(origin), str(root)], check=True, stderr=subprocess.DEVNULL)
    toy = Toy(root, control, folder / "prefect")
    toy.check("git", "checkout", "--quiet", "-b", "main")
    toy.check(sys.executable, "-m", "dvc", "init", "--quiet")
    (root / ".dvc/config").write_text(
        "[core]\n    analytics = false\n    check_update = false\n    remote = shared\n"
        f"['remote \"shared\"']\n    url = {folder / 'remote'}\n"
    )
    shutil.copy(Path(__file__).with_name("toy_work.py"), root / "work.py")
    (root / "source-a.txt").write_text("alpha\n")
    (root / "source-b.txt").write_text("beta\n")
    (root / ".gitignore").write_text(IGNORED)
    toy.commit(params__yaml=params(NAMES), toy__yaml=TOY_YAML, dvc__yaml=DVC_YAML)
    return toy


def params(names: dict[str, str]) -> str:
    """The quickstart's params under other names."""
    text = (Path(__file__).parents[2] / "profiles/quickstart.yaml").read_text().replace("quickstart", "toy")
    for name, other in names.items():
        text = re.sub(rf"\b{name}\b", other, text)
    return text


def reproduced(toy: Toy, *targets: str) -> str:
    """dvc.lock as `dvc repro` leaves it in a fresh clone."""
    name = f"local-{len(list(toy.root.parent.iterdir()))}"
    clone = toy.clone(name)
    local = Toy(clone.root, toy.root.parent / f"{name}-control", toy.home)
    local.control.mkdir()
    local.check(sys.executable, "-m", "dvc", "repro", *targets)
    return local.lock


def wait_until(fact: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Wait for a fact to hold."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"after {seconds} s, not yet: {what}"
        time.sleep(0.1)


def entries(lock: str) -> dict[str, object]:
    """The stages of a dvc.lock, whatever their order."""
    stages: dict[str, object] = YAML(typ="safe").load(lock)["stages"]
    return stages


def alive(pid: int) -> bool:
    """Whether a process is there and is not a zombie that nobody has waited for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
