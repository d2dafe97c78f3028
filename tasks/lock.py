"""dvc.lock, read: what the stages have been run with."""

from functools import lru_cache, reduce
from hashlib import md5
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tasks.params import Params
from tasks.pins import PINS, pins

LOCK = Path("dvc.lock")


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
    """What the text of a dvc.lock has of each stage."""
    return YAML(typ="safe").load(lock).get("stages") or {}


def _value(content: Any, key: str) -> Any:
    """The value at `a.b.c`, or None."""
    return reduce(lambda inner, part: inner.get(part) if isinstance(inner, dict) else None, key.split("."), content)
