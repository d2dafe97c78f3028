"""The text of a params.yaml for one's own table: the quickstart's, comments included, with what differs in place."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from confidistill.files import sha256
from tasks.base import Base
from tasks.given_teacher import GivenTeacher, file_source, folder_source

BASE = "minilm"  # the quickstart's source of the model that teachers start from
CORPUS = "vader"  # and of the text of general distillation
DEV_SHARE = 0.2
SEED = 42
SHORTER = 0.95  # of the rows: those that max_length does not cut


@dataclass(frozen=True)
class Tables:
    """The user's tables and what was found in them; `train` and `dev` are in one folder."""

    train: Path
    dev: Path | None
    transfer: Path | None
    columns: Mapping[str, str | None]
    """text, text_pair and label: names of columns."""
    rows: int
    classes: Sequence[str]
    max_length: int


def compose(
    quickstart: str,
    *,
    name: str,
    asked: str,
    tables: Tables,
    base: Base,
    base_folder: Path | None,
    teacher: GivenTeacher | None,
    students: Mapping[str, tuple[int, int]],
) -> str:
    """The text of params.yaml: the quickstart's, comments included, with sources, tasks and students of one's own.

    A student of the base model's width starts as that one's layers and needs no text of general distillation; a
    narrower one gets the quickstart's.

    Args:
        base_folder: of `base`; None: it is the given teacher where it can be, else the quickstart's.
        teacher: given; None: it is fine-tuned from `base`.
    """
    from_text = any(width < base.hidden_size for _, width in students.values())
    sources = _block(quickstart, "sources")
    own_sources = ["sources:  # where bytes come from; each is pinned and checked before use", _source(tables)]
    if tables.transfer:
        own_sources.append(_mapping("transfer", file_source(tables.transfer), 2))
    if teacher:
        own_sources.append(_mapping("teacher", teacher.source, 2))
    if base_folder:
        own_sources.append(_mapping("base", folder_source(base_folder), 2))
        start = "base"
    elif teacher and teacher.base:
        start = "teacher"
    else:
        own_sources.append(_block(sources, BASE, 2))
        start = BASE
    if from_text:
        own_sources.append(_block(sources, CORPUS, 2))
    replaced = {
        "profile": f"profile: {name}",
        "sources": "\n".join(own_sources),
        "models": _models(name, start, teacher),
        "vectors": "vectors: null  # of the augmentation",
        "corpus": _block(quickstart, "corpus") if from_text else "corpus: null  # of general distillation",
        "tasks": f"tasks:\n{_task(_block(_block(quickstart, 'tasks'), 'products', 2), name, tables)}",
        "students": "students:\n" + "\n".join(_student(quickstart, *student, base) for student in students.items()),
        "pairs": "\n".join(
            [
                _block(quickstart, "pairs").splitlines()[0],
                *(f"  {name}-{student}: {{intermediate: {{}}, prediction: {{}}}}" for student in students),
            ]
        ),
        "augment": f"augment:\n  {name}: null  # as it is; profiles/quickstart.yaml shows how to vary it",
        "general": _general(_block(quickstart, "general"), from_text),
    }
    keys = list(YAML(typ="safe").load(quickstart))
    blocks = [replaced.get(key) or _block(quickstart, key) for key in keys]
    about = [f"# Written by `{asked}`:", "# the quickstart's models and settings on a table of one's own.", ""]
    return "\n".join(about) + "\n\n".join(blocks) + "\n"


def _block(text: str, key: str, indent: int = 0) -> str:
    """The lines of a key of a YAML text, of its value and of the comments in it."""
    pattern = rf"^{' ' * indent}{re.escape(key)}:.*\n(?:(?: {{{indent + 1},}}\S.*)?\n)*"
    match = re.search(pattern, text + "\n", re.MULTILINE)
    assert match, f"the quickstart has no {key}"
    return match[0].rstrip()


def _models(name: str, base: str, teacher: GivenTeacher | None) -> str:
    comment = "  # which students start as" if base == "teacher" else ""
    lines = ["models:", f"  base: {base}{comment}", "  mlm: null  # of the augmentation"]
    if teacher:
        entry = ", ".join(f"{key}: {_flow(value)}" for key, value in teacher.entry.items())
        lines += ["  teachers:  # given: not fine-tuned here", f"    {name}: {{{entry}}}"]
    return "\n".join(lines)


def _source(tables: Tables) -> str:
    if tables.dev is None:
        return _mapping("table", file_source(tables.train), 2)
    files = {path.name: sha256(path) for path in (tables.train, tables.dev)}
    return _mapping("table", {"kind": "path", "path": tables.train.parent.as_posix(), "files": files}, 2)


def _mapping(name: str, content: Mapping[str, Any], indent: int) -> str:
    """A mapping of scalars and mappings, a line a key."""
    lines = [f"{' ' * indent}{_scalar(name)}:"]
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines.append(_mapping(key, value, indent + 2))
        else:
            lines.append(f"{' ' * (indent + 2)}{_scalar(key)}: {_flow(value)}")
    return "\n".join(lines)


def _flow(value: str | Sequence[str] | None) -> str:
    if value is None:
        return "null"
    return _scalar(value) if isinstance(value, str) else f"[{', '.join(map(_scalar, value))}]"


def _task(quickstart: str, name: str, tables: Tables) -> str:
    columns = {key: _flow(column) for key, column in tables.columns.items()}
    data = [
        "    data:",
        "      format: table",
        "      source: table",
        f"      train: {_scalar(tables.train.name)}",
        f"      dev: {_scalar(tables.dev.name)}"
        if tables.dev
        else f"      dev: {{share: {DEV_SHARE}, seed: {SEED}}}  # drawn class by class; or a file's name",
        *(f"      {key}: {column}" for key, column in columns.items()),
    ]
    text = quickstart.replace(_block(quickstart, "data", 4), "\n".join(data)).replace("products", name)
    text = re.sub(r"^  \S.*", f"  {name}:  # {tables.rows:,} rows; classes: {one_line(tables.classes)}", text, count=1)
    if tables.transfer:
        file = f"format: table, source: transfer, file: {_scalar(tables.transfer.name)}"
        text = _set(text, "transfer", f"{{{file}, text: {columns['text']}, text_pair: {columns['text_pair']}}}")
    return _set(text, "max_length", f"{tables.max_length}  # in tokens; some {SHORTER:.0%} of the rows are not longer")


def _student(quickstart: str, name: str, shape: tuple[int, int], base: Base) -> str:
    layers, width = shape
    narrow = width < base.hidden_size
    text = _block(_block(quickstart, "students"), "S_2L" if narrow else "S_3L", 2)
    text = re.sub(r"^  \S.*", f"  {name}:", text, count=1)
    sizes = {"layers": layers, "hidden_size": width, "attention_heads": base.attention_heads}
    sizes["intermediate_size"] = 4 * width if narrow else base.intermediate_size
    for key, size in sizes.items():
        text = _set(text, key, str(size))
    return text


def _general(quickstart: str, from_text: bool) -> str:
    return (
        quickstart if from_text else _set(quickstart, "sequences", "0  # none: students start as the teacher's layers")
    )


def _set(text: str, key: str, value: str) -> str:
    """Replace a key's value, and the comment behind it."""
    return re.sub(rf"^(\s+{key}:).*", rf"\g<1> {value}", text, count=1, flags=re.MULTILINE)


def _scalar(value: str) -> str:
    """A text as YAML, in quotes only where it needs them."""

    def means_itself(plain: str) -> bool:
        try:
            content: Any = YAML(typ="safe").load(f"block: {plain}\nflow: [{plain}]")
        except YAMLError:
            return False
        return bool(content == {"block": value, "flow": [value]})

    return value if means_itself(value) else json.dumps(value, ensure_ascii=False)


def one_line(classes: Sequence[str]) -> str:
    """Class names in one line, the first ten of them."""
    return ", ".join(" ".join(name.split()) for name in classes[:10]) + (", ..." if len(classes) > 10 else "")
