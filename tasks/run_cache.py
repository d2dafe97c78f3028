"""A stage's result on its way through the DVC remote: its entry in DVC's run-cache and all that the stage wrote.

`dvc push --run-cache` leaves out the outputs with `cache: false`, which git keeps: of a run on another machine they
are wanted too. Usage: python -m tasks.run_cache push|pull STAGE. Exit status 0: done; 3: the remote has no result of
the stage's inputs as they are here.
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from confidistill.errors import UserError, exits_cleanly
from tasks.dvc import repository

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

NO_RESULT = 3


def push(repo: "Repo", stage: "Stage") -> None:
    """Send what the stage has written, then the entry that tells of it.

    Raises:
        UserError: some of it could not be sent.
    """
    repo.stage_cache.save(stage)  # puts the outputs with cache: false into the local cache
    for out in stage.outs:
        out.use_cache = True  # of this object: it is not saved
    for odb, objects in stage.get_used_objs().items():
        if failed := repo.cloud.push(objects, odb=odb).failed:
            raise UserError(f"{len(failed)} of {len(objects)} files were not sent")
    repo.stage_cache.push(None)


def pull(repo: "Repo", stage: "Stage") -> bool:
    """Whether the remote has a result of the stage's inputs; it is then restored here, as `dvc repro` would.

    The command is never run, and without a result nothing is changed.
    """
    repo.stage_cache.pull(None)
    for result in _results(repo, stage):
        cached = repo.stage_cache._create_stage(result, wdir=stage.wdir)
        if _fetch(repo, cached):
            stage.remove_outs(ignore_remove=False, force=False)
            cached.checkout()
            stage.save(run_cache=False)
            stage.commit()
            stage.dump(update_pipeline=False)
            return True
    return False


def _results(repo: "Repo", stage: "Stage") -> Iterator[dict[str, Any]]:
    """Results of the stage's inputs as they are: that of dvc.lock, that of the run-cache."""
    from dvc.stage.serialize import to_single_stage_lockfile

    if not stage.changed_stage() and stage.deps_cached() and all(out.hash_info for out in stage.outs):
        yield to_single_stage_lockfile(stage)
    stage.save_deps()
    if entry := repo.stage_cache._load(stage):
        yield entry


def _fetch(repo: "Repo", cached: "Stage") -> bool:
    """Whether all outputs of a result are in the local cache, fetched where need be."""
    from dvc.exceptions import CollectCacheError

    try:
        for odb, objects in cached.get_used_objs().items():
            repo.cloud.pull(objects, odb=odb)
    except CollectCacheError:
        return False
    return cached.outs_cached()


@exits_cleanly
def main() -> None:
    direction, name = sys.argv[1:]
    with repository() as repo, repo.lock:
        (stage,) = (stage for stage in repo.index.stages if stage.addressing == name)
        if direction == "push":
            push(repo, stage)
        elif not pull(repo, stage):
            sys.exit(NO_RESULT)


if __name__ == "__main__":
    main()
