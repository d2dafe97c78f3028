"""What a search is of, the same for each of its trials, and whether this clone can be searched at all."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confidistill.confidence.verdict import Protocol
from confidistill.errors import UserError
from flows.search.space import Space, space_of
from tasks import dag
from tasks.dvc import repository
from tasks.lock import stages_in
from tasks.params import PARAMS_FILE, load

FOLDER = Path(".dvc/tmp/search")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
MATTERS = ("params.yaml", "dvc.yaml", "confidistill/", "tasks/")  # to what a stage does


@dataclass(frozen=True)
class Job:
    """One pair, searched by one preset under one name."""

    task: str
    student: str
    preset: str
    held_out: bool  # whether sigma on the held-out share of Tr is an objective, too
    study: str
    seed: int
    protocol: Protocol
    kappa: float
    used_seeds: frozenset[int]
    params: str  # params.yaml and dvc.lock as every trial begins with them
    lock: str
    cache: str  # DVC's cache folder, which all trials share
    inputs: Mapping[str, list[str]]  # of each stage that a trial may run, what it needs from others
    for_gpu: frozenset[str]  # those of them that are marked for a GPU
    fingerprint: str

    @property
    def pair(self) -> str:
        """The pair's name in params.yaml and dvc.yaml."""
        return f"{self.task}-{self.student}"

    @property
    def space(self) -> Space:
        return space_of(self.preset)

    @property
    def folder(self) -> Path:
        """Where the trials' git worktrees are."""
        return FOLDER / self.study


def open_job(task: str, student: str, *, preset: str, held_out: bool, study: str | None, seed: int) -> Job:
    """The job, once everything that would stop its trials has been looked at.

    Raises:
        UserError: there is no such task, student or preset; there is no held-out share to be an objective; the study's
            name cannot be one of an experiment; the pipeline has not been run for the pair; or the clone has changes
            that are not committed, from which DVC makes no experiment.
    """
    space_of(preset)
    params = load()
    params.task(task)
    params.student(student)
    pair = f"{task}-{student}"
    if held_out and params.selection is None:
        raise UserError("--held-out: selection: dev holds no part of Tr out: set selection to {share, seed}")
    study = study or f"{pair}-{preset}{'-held-out' if held_out else ''}"
    if not NAME.fullmatch(study):
        raise UserError(f"--study {study!r}: use letters, digits, _ and -, at most 100 of them, the first no - or _")
    _refuse_changes()
    stages = [f"{name}@{pair}" for name in ("distill_intermediate", "distill_prediction", "evaluate")]
    graph = dag.read([stages[-1]])
    stale = dag.changed(graph)
    if stale:
        raise UserError(
            f"{', '.join(sorted(stale)[:3])}{' ...' if len(stale) > 3 else ''}: not up to date: "
            f"run `dvc repro {stages[-1]}`, from which the search starts"
        )
    lock = dag.read_lock()
    entries = stages_in(lock)
    judged = params.property
    facts = [preset, held_out, seed, judged.model_dump(), [entries[name] for name in stages]]
    with repository() as repo:
        cache = str(repo.cache.local_cache_dir)
    return Job(
        task=task,
        student=student,
        preset=preset,
        held_out=held_out,
        study=study,
        seed=seed,
        protocol=judged.protocol,
        kappa=judged.kappa,
        used_seeds=frozenset(
            {*params.seeds, params.intermediate_of(task, student).seed, params.prediction_of(task, student).seed}
        ),
        params=PARAMS_FILE.read_text(encoding="utf-8"),
        lock=lock,
        cache=cache,
        inputs={name: dag.inputs(name) for name in stages},
        for_gpu=frozenset(name for name in stages if graph[name].gpu),
        fingerprint=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
    )


def _refuse_changes() -> None:
    changed = git("status", "--porcelain", "--untracked-files=no").splitlines()
    matters = [line[3:] for line in changed if line[3:].startswith(MATTERS)]
    if matters:
        raise UserError(
            f"{matters[0]} has changes that are not committed: commit them first, since each trial becomes an "
            "experiment upon the last commit"
        )


def git(*arguments: str, cwd: Path | None = None) -> str:
    """What a git command prints.

    Raises:
        UserError: git refuses; its reason in one line.
    """
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout
