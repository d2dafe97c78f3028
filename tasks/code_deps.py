"""The code that each stage of dvc.yaml is made of, written into its `deps`: `python -m tasks.code_deps [--check]`.

A stage is made of its module `tasks/<stage>.py` and of all that this imports, however far, by the import graph; so an
edit reruns the stages whose results it can change, and no others. Files stand there, not folders.

Three modules are left out, with what is reached through them alone. `tasks/params.py` and `tasks/sections.py` read
params.yaml: what they hand to a stage is tracked, value by value, by its `params`. `tasks/entry.py` starts every
stage, and computes nothing. Through the checks of params.yaml they import the readers of every kind of task, so that
without this an edit of `text/glue.py` would train all teachers again.

The entries of `deps` under `confidistill/` and `tasks/` are this command's; all others, comments and order are kept.
"""

import re
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml.error import MarkedYAMLError

from confidistill.code import code_behind
from confidistill.errors import UserError, exits_cleanly
from confidistill.files import atomic_file
from tasks.round_trip import not_yaml, round_trip

DVC_FILE = Path("dvc.yaml")
OWNED = ("confidistill/", "tasks/")
WITHOUT = frozenset({"tasks.params", "tasks.sections", "tasks.entry"})
MODULE = re.compile(r"-m (tasks\.\w+)")


@exits_cleanly
def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        raise UserError("usage: python -m tasks.code_deps [--check]")
    before = DVC_FILE.read_text(encoding="utf-8")
    after = with_code_deps(before)
    if before == after:
        print(f"{DVC_FILE}: every stage names the code it is made of")
    elif sys.argv[1:]:
        raise UserError(f"{DVC_FILE}: stages depend on other code than they name: run `python -m tasks.code_deps`")
    else:
        with atomic_file(DVC_FILE) as path:
            path.write_text(after, encoding="utf-8")
        print(f"{DVC_FILE}: the code that each stage is made of is written anew")


def with_code_deps(text: str) -> str:
    """The text of dvc.yaml with each stage's code dependencies as the import graph has them."""
    yaml = round_trip()
    try:
        content = yaml.load(text)
    except MarkedYAMLError as error:
        raise UserError(f"{DVC_FILE}: {not_yaml(error)}") from None
    for name, entry in content["stages"].items():
        definition = entry.get("do", entry)
        _replace_code(definition["deps"], code_of(name, str(definition["cmd"])))
    written = StringIO()
    yaml.dump(content, written)
    return written.getvalue()


def code_of(stage: str, command: str) -> list[str]:
    """The files that a stage is made of, relative to the project's root, its own module's first.

    Raises:
        UserError: its command runs no module of tasks/, or one that is not there.
    """
    match = MODULE.search(command)
    if not match:
        raise UserError(f"{DVC_FILE}: stage {stage!r}: its command runs no module of tasks/: {command!r}")
    try:
        files = code_behind(match[1], within=("confidistill",), without=WITHOUT)
    except ValueError as error:
        raise UserError(f"{DVC_FILE}: stage {stage!r}: {error}") from None
    root = Path(__file__).parents[1]
    names = [path.relative_to(root).as_posix() for path in files]
    return sorted(names, key=lambda name: (not name.startswith("tasks/"), name))


def _replace_code(deps: Any, code: list[str]) -> None:
    """In place: owned entries give way to `code`, which stands last, a line each."""
    deps.fa.set_block_style()
    for index in reversed(range(len(deps))):
        if deps[index].startswith(OWNED):
            del deps[index]
    deps.extend(code)


if __name__ == "__main__":
    main()
