"""A teacher that is there already, as `confidistill init` is given it: its source, and what params.yaml says of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from confidistill.architectures import ARCHITECTURES, longest_input
from confidistill.errors import UserError
from confidistill.files import sha256
from confidistill.sources.fetch import fetch
from confidistill.sources.pins import HubSource
from confidistill.teachers.given import MODEL_FILES, ModelTeacher, check_model
from tasks.base import Base, read_base

ON_THE_HUB = re.compile(r"((?:[\w.-]+/)?[\w.-]+)@([0-9a-f]{40})")


@dataclass(frozen=True)
class GivenTeacher:
    """What is known of a teacher that is not fine-tuned here."""

    about: str
    source: Mapping[str, Any]
    """Its entry in `sources`."""
    entry: Mapping[str, str | Sequence[str]]
    """Its entry in `models.teachers`."""
    base: Base | None = None
    """The model itself, if students can start as it."""
    longest: int | None = None
    """The most tokens it reads; None: as many as there are."""


def given_teacher(
    model: str | None,
    predictions: Path | None,
    labels: Sequence[str],
    columns: Mapping[str, str | None],
    classes: Sequence[str],
) -> GivenTeacher | None:
    """A fine-tuned classifier, in a folder or on the hub as NAME@REVISION, or a table of probabilities; None: neither.

    Args:
        labels: the task's, in the order of the teacher's classes; none: those that it names, or a table's in
            alphabetical order.
        columns: text and text_pair: names of columns, the task's table's and the teacher's.
        classes: the task's.

    Raises:
        UserError: it is not there, has no weights in safetensors, or its classes are not the task's. (What is in a
            table is for preflight to see.)
    """
    if model is not None and predictions is not None:
        raise UserError("--teacher and --teacher-predictions: a task has one teacher: give one of them")
    if predictions is not None:
        return _table(predictions, columns, labels)
    if model is None and labels:
        raise UserError("--teacher-label: of which teacher? Give --teacher or --teacher-predictions, too")
    if model is None:
        return None
    if Path(model).is_dir():
        return _model(model, Path(model), folder_source(Path(model)), labels, classes)
    if match := ON_THE_HUB.fullmatch(model):
        return _model_on_the_hub(match[1], match[2], labels, classes)
    raise UserError(
        f"{model}: no such folder: give that of a fine-tuned classifier, or NAME@REVISION of one on the hub, where "
        "REVISION is the 40 digits of a commit"
    )


def file_source(path: Path) -> dict[str, Any]:
    """A file of this machine, pinned."""
    return {"kind": "path", "path": path.as_posix(), "sha256": sha256(path)}


def folder_source(folder: Path) -> dict[str, Any]:
    """A model's folder of this machine, each file pinned that a model is read from."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in MODEL_FILES)
    return {"kind": "path", "path": folder.as_posix(), "files": {path.name: sha256(path) for path in files}}


def _table(table: Path, columns: Mapping[str, str | None], labels: Sequence[str]) -> GivenTeacher:
    if not table.is_file():
        raise UserError(f"{table}: no such file: give a table with the texts and p0, p1, ... of each")
    texts = {key: name for key, name in columns.items() if key in ("text", "text_pair") and name is not None}
    return GivenTeacher(str(table), file_source(table), _entry("predictions", labels) | texts)


def _model_on_the_hub(repo: str, revision: str, labels: Sequence[str], classes: Sequence[str]) -> GivenTeacher:
    pinned: dict[str, Any] = {"kind": "hub", "repo": repo, "repo_type": "model", "revision": revision}
    with TemporaryDirectory() as scratch:
        folder = fetch(HubSource(**pinned, files={"config.json": None}), Path(scratch))
        hashes = _files_on_the_hub(repo, revision)
        for name in hashes:
            (folder / name).touch()  # a stand-in: what is checked here is config.json, and which files there are
        files = {name: known for name, known in hashes.items() if name.endswith(MODEL_FILES)}
        try:
            teacher = _model(repo, folder, pinned | {"files": files}, labels, classes)
        except UserError as error:
            raise UserError(str(error).replace(str(folder), f"{repo}@{revision}")) from None
    return teacher


def _files_on_the_hub(repo: str, revision: str) -> dict[str, str | None]:
    """The files at the top of a repository, each with its sha256 where the hub tells it, as it does of large ones."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    try:
        tree = HfApi().list_repo_tree(repo, revision=revision)
        return {file.path: file.lfs.sha256 if file.lfs else None for file in tree if isinstance(file, RepoFile)}
    except OSError as error:
        raise UserError(f"{repo}@{revision}: its files are not listed: {str(error).splitlines()[0]}") from None


def _model(
    about: str, folder: Path, source: Mapping[str, Any], labels: Sequence[str], classes: Sequence[str]
) -> GivenTeacher:
    entry = _entry("model", labels)
    config: Any = SimpleNamespace(**{"model_type": None} | check_model(ModelTeacher(**entry), folder, classes))
    if config.model_type not in {*ARCHITECTURES, None}:
        return GivenTeacher(about, source, entry, longest=longest_input(config))
    base = replace(read_base(folder), name=about)
    return GivenTeacher(about, source, entry, base, base.max_positions)


def _entry(kind: str, labels: Sequence[str]) -> dict[str, Any]:
    return {"kind": kind, "source": "teacher"} | ({"labels": list(labels)} if labels else {})
