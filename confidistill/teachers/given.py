"""A teacher that somebody has already: checked against its task, and put where a fine-tuned one would be."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from confidistill.confidence.prediction_files import read_predictions
from confidistill.errors import UserError
from confidistill.files import atomic_folder
from confidistill.teachers.lookup import Lookup, write_lookup
from confidistill.text.table import read_table

MODEL_FILES = (".safetensors", ".json", ".txt", ".model")
SMALLEST = 1e-12  # what a probability of 0 counts as: its logarithm is to be finite


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    """Name of the source it comes from."""
    labels: list[str] | None = None
    """The task's labels in the order of the teacher's classes; None: the teacher's own names are the task's."""


class ModelTeacher(_Given):
    """A Hugging Face folder of a sequence classifier, of any family, in safetensors."""

    kind: Literal["model"]


class PredictionsTeacher(_Given):
    """A table of texts with p0..pK (or logit0..logitK): what an API, an ensemble or a panel said of each.

    The classes are in the task's order where `labels` is None. `file` names the table; None: the only file there is.
    """

    kind: Literal["predictions"]
    file: str | None = None
    text: str
    text_pair: str | None = None


Given = Annotated[ModelTeacher | PredictionsTeacher, Field(discriminator="kind")]


def adopt(
    given: ModelTeacher | PredictionsTeacher,
    source: Path,
    output: Path,
    *,
    label_names: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Write the teacher in `source`, a folder or the file itself, to the folder `output`.

    Args:
        label_names: the task's.
        tables: the task's splits, and transfer text where it has some: a table of probabilities must have every text.

    Raises:
        UserError: a file is missing or unreadable, weights are a pickle, its classes are not the task's, a text is
            without probabilities or has two sets of them.
    """
    match given:
        case ModelTeacher():
            _adopt_model(given, source, output, label_names)
        case PredictionsTeacher():
            read = read_given(given, source, label_names)
            lookup = Lookup(read, source.name)
            for name, table in tables.items():
                lookup.logits(table, name)  # for what it raises
            write_lookup(read, label_names, output)


def _adopt_model(given: ModelTeacher, folder: Path, output: Path, label_names: Sequence[str]) -> None:
    config = check_model(given, folder, label_names)
    with atomic_folder(output) as written:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix in MODEL_FILES:
                shutil.copyfile(path, written / path.name)
        if given.labels:
            config |= {"id2label": {str(index): name for index, name in enumerate(given.labels)}}
            config |= {"label2id": {name: index for index, name in enumerate(given.labels)}}
            (written / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def check_model(given: ModelTeacher, folder: Path, label_names: Sequence[str]) -> dict[str, Any]:
    """The content of config.json of a classifier whose classes are the task's.

    Raises:
        UserError: as of `adopt`.
    """
    path = folder / "config.json"
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else {folder.name}
    for needed in ("config.json", "tokenizer.json"):
        if needed not in names:
            raise UserError(
                f"{folder / needed}: no such file: a teacher is a folder with config.json, model.safetensors, "
                "tokenizer.json"
            )
    if not names & {"model.safetensors", "model.safetensors.index.json"}:
        raise UserError(f"{folder}: no weights in model.safetensors: weights are read from safetensors only")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        own: Any = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # what transformers takes none for
        classes = [str(own[key]) for key in sorted(own, key=int)]
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the config.json of a classifier: {error}") from None
    _check_classes(given.labels or classes, label_names, len(classes), str(path))
    return config


def _check_classes(names: Sequence[str], label_names: Sequence[str], count: int, what: str) -> None:
    if count != len(label_names):
        raise UserError(f"{what}: {count} classes, but the task has {len(label_names)}: {_shown(label_names)}")
    if sorted(names) != sorted(label_names):
        raise UserError(
            f"{what}: {count} classes, named {_shown(names)}, but the task's labels are {_shown(label_names)}: "
            "name these in the teacher's order, as `labels` (of `confidistill init`: --teacher-label)"
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def read_given(given: PredictionsTeacher, source: Path, label_names: Sequence[str]) -> pd.DataFrame:
    """text, text_pair (of pairs) and logit0..logitC-1 in the order of `label_names`; the index counts the file's lines.

    Logits are as given, or the logarithms of the probabilities, their mean taken off: what is known of them.

    Raises:
        UserError: as of `adopt`; file and line or row are named.
    """
    path = _file(given, source)
    table = read_table(path, text=given.text, text_pair=given.text_pair, label=None)
    predictions = read_predictions(path, labelled=False)
    if len(predictions.probabilities) != len(table):
        raise UserError(f"{path}: {len(table)} texts, {len(predictions.probabilities)} rows of probabilities")
    if predictions.note:
        print(predictions.note)
    classes = predictions.probabilities.shape[1]
    _check_classes(given.labels or label_names, label_names, classes, str(path))
    logits = predictions.logits
    if logits is None:
        logs = np.log(predictions.probabilities.clip(SMALLEST))
        logits = logs - logs.mean(axis=1, keepdims=True)
    order = [(given.labels or list(label_names)).index(name) for name in label_names]
    return table.assign(**{f"logit{index}": logits[:, column] for index, column in enumerate(order)})


def _file(given: PredictionsTeacher, source: Path) -> Path:
    if not source.is_dir():
        return source
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    if given.file is None and len(names) != 1:
        raise UserError(f"{source}: has {', '.join(names) or 'no file'}: name one, as `file`")
    return source / (given.file or names[0])
