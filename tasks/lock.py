"""dvc.lock, read: what the stages have been run with."""

from functools import reduce
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tasks.params import Params

LOCK = Path("dvc.lock")


def is_fetched(stage: str, params: Params) -> bool:
    """Whether a stage has been run with the parameters that it has now, so that DVC need not run it again."""
    if not LOCK.exists():
        return False
    entry = (YAML(typ="safe").load(LOCK).get("stages") or {}).get(stage)
    if not entry:
        return False
    recorded = entry.get("params", {}).get("params.yaml", {})
    current = params.model_dump(mode="json", exclude_unset=True)
    return all(_value(current, key) == value for key, value in recorded.items())


def _value(content: Any, key: str) -> Any:
    """The value at `a.b.c`, or None."""
    return reduce(lambda inner, part: inner.get(part) if isinstance(inner, dict) else None, key.split("."), content)
