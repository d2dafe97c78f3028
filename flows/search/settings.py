"""params.yaml with one pair's entry changed, and what that changes in it."""

from collections.abc import Mapping
from difflib import unified_diff
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from tasks.params import PARAMS_FILE
from tasks.round_trip import round_trip


def with_overrides(text: str, pair: str, overrides: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of params.yaml with `overrides` over what `pairs.<pair>` holds; all else, comments included, is kept."""
    yaml = round_trip()
    content = yaml.load(text)
    for section, values in overrides.items():
        content["pairs"][pair][section].update(values)
    written = StringIO()
    yaml.dump(content, written)
    whole = written.getvalue()
    spliced = _with_entry_of(text, whole, pair)
    return spliced if _read(spliced) == _read(whole) else whole


def _with_entry_of(text: str, other: str, pair: str) -> str:
    """`text` with the pair's entry as `other` has it: a file of another style keeps its style."""
    lines, theirs = text.splitlines(True), other.splitlines(True)
    (begin, end, column), (their_begin, their_end, their_column) = (
        _entry(text, lines, pair),
        _entry(other, theirs, pair),
    )
    entry = [" " * column + line[their_column:] for line in theirs[their_begin:their_end]]
    return "".join([*lines[:begin], *entry, *lines[end:]])


def _entry(text: str, lines: list[str], pair: str) -> tuple[int, int, int]:
    """From which line to before which, and from which column, the pair's entry stands."""
    begin, column = YAML().load(text)["pairs"].lc.key(pair)
    end = begin + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip(" ")) > column:
        end += 1
    return begin, end, column


def _read(text: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except MarkedYAMLError:
        return None


def difference(before: str, after: str) -> str:
    """What changes in params.yaml, as `diff -u` shows it."""
    name = str(PARAMS_FILE)
    return "".join(unified_diff(before.splitlines(True), after.splitlines(True), name, name))
