"""Bring a stage's result from the DVC remote's run-cache into the local cache, without running anything.

Usage: python -m flows.restore STAGE. Exit status 0: it is there; 3: the run-cache has none.
"""

import sys

NOT_IN_RUN_CACHE = 3


def main() -> None:
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError

    (name,) = sys.argv[1:]
    with Repo(_wait_for_lock=True) as repo, repo.lock:
        repo.stage_cache.pull(None)
        (stage,) = (stage for stage in repo.index.stages if stage.addressing == name)
        try:
            repo.stage_cache.restore(stage, pull=True)
        except RunCacheNotFoundError:
            sys.exit(NOT_IN_RUN_CACHE)


if __name__ == "__main__":
    main()
