"""params.yaml with one pair's entry changed, here and on a worker, and what that changes in it."""

from collections.abc import Mapping
from difflib import unified_diff
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from confidistill.errors import UserError
from tasks.params import PARAMS_FILE, load
from tasks.round_trip import round_trip
from tasks.sections import Pair


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


def write_settings(stage: str, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a trial's settings, by section, over those of the stage's pair in this clone's params.yaml, nowhere else.

    Raises:
        UserError: the stage is of no pair, a pair has no such section, or params.yaml takes no such setting.
    """
    pair = stage.partition("@")[2]
    if pair not in load().pairs:
        raise UserError(f"refused: {stage!r} is of no pair of {PARAMS_FILE}, and other settings are a pair's")
    if unknown := sorted(settings.keys() - Pair.model_fields.keys()):
        raise UserError(f"refused: {unknown[0]!r} is none of {', '.join(Pair.model_fields)}, which a trial may change")
    PARAMS_FILE.write_text(with_overrides(PARAMS_FILE.read_text(encoding="utf-8"), pair, settings), encoding="utf-8")
    load()


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
