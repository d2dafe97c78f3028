"""dvc.lock: what the stages have been run with."""

from functools import lru_cache, reduce
from hashlib import md5
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from confidistill.errors import UserError
from confidistill.files import atomic_file
from tasks.committed import committed
from tasks.dvc import repository
from tasks.params import Params
from tasks.pins import PINS, pins
from tasks.round_trip import not_yaml

LOCK = Path("dvc.lock")
MEND = f"end the merge, or `git checkout HEAD {LOCK}` and run again"


def is_fetched(stage: str, params: Params) -> bool:
    """Whether a stage has been run with the parameters and pins that it has now, so that DVC need not run it again."""
    if not LOCK.exists():
        return False
    entry = stages_in(LOCK.read_text()).get(stage)
    if not entry:
        return False
    recorded = entry.get("params", {}).get("params.yaml", {})
    current = params.model_dump(mode="json", exclude_unset=True)
    pinned = {(PINS / name).as_posix(): md5(text.encode()).hexdigest() for name, text in pins(params).items()}
    return all(_value(current, key) == value for key, value in recorded.items()) and all(
        pinned[dep["path"]] == dep["md5"] for dep in entry.get("deps", []) if dep["path"] in pinned
    )


@lru_cache(maxsize=1)
def stages_in(lock: str) -> dict[str, Any]:
    """What the text of a dvc.lock has of each stage.

    Raises:
        UserError: it is no dvc.lock, as after a merge with conflicts.
    """
    try:
        content = YAML(typ="safe").load(lock) or {}
    except MarkedYAMLError as error:
        raise UserError(f"{LOCK}: {not_yaml(error)}: {MEND}") from None
    stages = (content.get("stages") or {}) if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        raise UserError(f"{LOCK}: its stages are no mapping: {MEND}")
    return stages


def forget_other_stages() -> int:
    """Leave out of a committed dvc.lock what it has of stages that are not in this graph any more; how many they were.

    DVC keeps them for good, and reads and writes them all again after each stage that it runs. What is not committed
    stays.

    Raises:
        UserError: the current folder is no DVC repository, or dvc.yaml has an error.
    """
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    if not LOCK.exists() or LOCK.read_bytes() != committed(LOCK):
        return 0
    with repository() as repo:
        current = {stage.addressing for stage in repo.index.stages}
    lock = LOCK.read_text()
    others = stages_in(lock).keys() - current
    if others:
        content = parse_yaml_for_update(lock, LOCK)
        for name in others:
            del content["stages"][name]
        with atomic_file(LOCK) as path:
            path.write_text(dumps_yaml(content))
    return len(others)


def _value(content: Any, key: str) -> Any:
    """The value at `a.b.c`, or None."""
    return reduce(lambda inner, part: inner.get(part) if isinstance(inner, dict) else None, key.split("."), content)
