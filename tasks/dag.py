"""The DVC graph of the current folder, read: which stages there are, what each needs, which are stale."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confidistill.errors import UserError
from tasks.dvc import repository
from tasks.lock import LOCK

if TYPE_CHECKING:
    import dvc.stage
    from dvc.repo import Repo


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, by the name DVC addresses it with; `upstream` names what must be done before."""

    name: str
    upstream: frozenset[str]
    gpu: bool  # meta: {device: gpu}


def read(targets: Iterable[str] = ()) -> dict[str, Stage]:
    """The stages that `dvc repro TARGETS` would look at, in the order in which it would.

    Raises:
        UserError: not a DVC repository, dvc.yaml has an error, or it has no such target.
    """
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    with repository() as repo:
        graph = get_active_graph(repo.index.graph)  # edges: stage -> what it depends on
        plan = plan_repro(graph, collect_stages(repo, list(targets) or ["dvc.yaml"]))
        return {
            stage.addressing: Stage(
                name=stage.addressing,
                upstream=frozenset(needed.addressing for needed in graph.successors(stage)),
                gpu=(getattr(stage, "meta", None) or {}).get("device") == "gpu",
            )
            for stage in plan
        }


def longest_first(stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The stages, given in the order of `read`, those first for which the longest chain of others waits."""
    waiting = dict.fromkeys(stages, 0)
    for name in reversed(waiting):
        for needed in stages[name].upstream & stages.keys():
            waiting[needed] = max(waiting[needed], waiting[name] + 1)
    return {name: stages[name] for name in sorted(stages, key=lambda name: -waiting[name])}


def names() -> list[str]:
    """Every stage that dvc.yaml defines."""
    with repository() as repo:
        return [stage.addressing for stage in repo.index.stages]


def changed(stages: Iterable[str]) -> set[str]:
    """Those of `stages` whose command, parameters, dependencies or outputs are not what dvc.lock has."""
    wanted = set(stages)
    with repository() as repo, repo.lock:
        return {stage.addressing for stage in repo.index.stages if stage.addressing in wanted and stage.changed()}


def inputs(name: str) -> list[str]:
    """Paths a stage needs from other stages: what has to be in the DVC remote before it runs elsewhere.

    Raises:
        UserError: the stage cannot run elsewhere, since DVC's run-cache refuses it.
    """
    with repository() as repo:
        stage = _find(repo, name)
        if any(out.persist for out in stage.outs) or stage.always_changed or not (stage.deps and stage.outs):
            raise UserError(
                f"stage {name!r} cannot run on a work pool: DVC's run-cache, which brings results back, "
                "takes no persist: true, no always_changed, and no stage without deps or outs"
            )
        paths = set()
        for needed in repo.index.graph.successors(stage):
            for out in needed.outs:
                for dep in stage.deps:
                    if not repo.fs.isin_or_eq(out.fs_path, dep.fs_path) and not repo.fs.isin(dep.fs_path, out.fs_path):
                        continue
                    if not out.use_cache:
                        raise UserError(
                            f"stage {name!r} cannot run on a work pool: its input {out} has cache: false "
                            "and is not in the DVC remote: let DVC cache it in dvc.yaml"
                        )
                    inner = dep if repo.fs.isin(dep.fs_path, out.fs_path) else out
                    paths.add(repo.fs.relpath(inner.fs_path, repo.root_dir))
        return sorted(paths)


def read_lock(folder: Path = Path()) -> str:
    """The text of dvc.lock, never half-written."""
    lock = folder / LOCK
    with repository(folder) as repo, repo.lock:
        return lock.read_text() if lock.exists() else ""


def write_lock(text: str) -> None:
    """Make dvc.lock what a driver's is; no text: there is none yet."""
    if text:
        LOCK.write_text(text)
    else:
        LOCK.unlink(missing_ok=True)


def order_lock(before: list[str], plan: Iterable[str]) -> None:
    """Put the entries of dvc.lock in the order of `dvc repro`: the old ones, then new ones as planned.

    DVC appends an entry when its stage is done, so stages that ran side by side came in as they ended.
    """
    from dvc.utils.serialize import modify_yaml

    wanted = [*before, *plan]
    with repository() as repo, repo.lock:
        present = lock_entries()
        rank = {name: position for position, name in reversed(list(enumerate(wanted)))}
        ordered = sorted(present, key=lambda name: rank.get(name, len(wanted)))
        if ordered != present:
            with modify_yaml(LOCK) as content:
                entries = {name: content["stages"][name] for name in ordered}
                content["stages"].clear()
                content["stages"].update(entries)


def lock_entries() -> list[str]:
    """Names of the stages in dvc.lock, in its order."""
    from dvc.utils.serialize import load_yaml

    return list(load_yaml(LOCK).get("stages", {})) if LOCK.exists() else []


def _find(repo: "Repo", name: str) -> "dvc.stage.Stage":
    for stage in repo.index.stages:
        if stage.addressing == name:
            return stage
    raise UserError(f"dvc.yaml defines no stage {name!r}")
