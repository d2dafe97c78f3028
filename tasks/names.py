"""Names of tasks, students and sources: they become folders, keys and DVC stages, so few characters are allowed."""

import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from confidistill.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
NAMED = ("sources", "tasks", "students", "augment")


def check_names(content: Any) -> None:
    """Refuse a params file's names before anything is made of them.

    Args:
        content: params.yaml as read, in whatever shape it is; shapes are checked elsewhere.

    Raises:
        UserError: a name holds anything but letters, digits, `_` and `-` or begins with `-`, or two pairs of a task and
            a student would be one DVC stage. (A dot is not allowed, since DVC takes `tasks.a.b` for three levels.)
    """
    sections = {name: content.get(name) for name in NAMED} if isinstance(content, Mapping) else {}
    names = {section: list(named) for section, named in sections.items() if isinstance(named, Mapping)}
    for section, given in names.items():
        for name in given:
            if not isinstance(name, str):
                raise UserError(f"{section}: {name!r} is no text: write it in quotes to make it a name")
            if not NAME.fullmatch(name):
                raise UserError(
                    f"{section}: {name!r} cannot be a name: use letters, digits, _ and -, at most 64 of them, "
                    "the first no -"
                )
    seen: dict[str, tuple[str, ...]] = {}
    for pair in product(names.get("tasks", []), names.get("students", [])):
        if (other := seen.setdefault("-".join(pair), pair)) != pair:
            both = " and ".join(f"task {task} with student {student}" for task, student in (other, pair))
            raise UserError(f"tasks, students: {both} would both be the pair {'-'.join(pair)}: rename one")


def stage_names(stage: str, choices: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Of a DVC stage such as `evaluate@movies-S_3L`, the names after the `@`, one of each of `choices`.

    Raises:
        UserError: they are none.
    """
    item = stage.rpartition("@")[2]
    for names in product(*choices):
        if "-".join(names) == item:
            return names
    raise UserError(f"stage {stage!r} names nothing that params.yaml lists")
