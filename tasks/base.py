"""The model that teachers start from: what its config.json says, and whether the students of params.yaml fit it."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from confidistill.architectures import architecture_named
from confidistill.architectures.architecture import no_words
from confidistill.distillation.compatibility import check_heads, check_width
from confidistill.distillation.layers import layer_map
from confidistill.errors import UserError, at_key
from tasks.params import Params

FETCHED = Path("models/base")
SIZES = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")


@dataclass(frozen=True)
class Base:
    """What config.json says of a model; `name` is what errors call it."""

    name: str
    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    max_positions: int
    vocabulary: int
    model_type: str = "bert"


def read_base(folder: Path, files: Collection[str] | None = None) -> Base:
    """Read a model folder's config.json, and see that the folder has weights and a tokenizer that can be read.

    Args:
        files: names of those files of the folder that count; None: all.

    Raises:
        UserError: a file is missing or no JSON, weights are a pickle, or the model's family is not supported.
    """
    path = folder / "config.json"
    names = {found.name for found in folder.iterdir() if files is None or found.name in files}
    if path.name not in names:
        raise UserError(
            f"{path}: no such file: a model is a folder with config.json, model.safetensors, tokenizer.json"
        )
    try:
        config: Any = SimpleNamespace(**json.loads(path.read_text(encoding="utf-8")))
        architecture = architecture_named(config.model_type)
        layers, hidden_size, intermediate_size, heads = (int(architecture.size(config, name)) for name in SIZES)
        base = Base(
            str(folder),
            layers,
            hidden_size,
            intermediate_size,
            heads,
            max_positions=architecture.longest(config),
            vocabulary=config.vocab_size,
            model_type=config.model_type,
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except AttributeError as error:
        raise UserError(f"{path}: no key {error.name!r}: it is not the whole config.json of a model") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not the config.json of a model: {error}") from None
    if not names & {"model.safetensors", "model.safetensors.index.json"}:
        pickled = sorted(name for name in names if name.endswith(".bin"))
        found = f"only {pickled[0]}, a pickle, which can run code when it is read" if pickled else "no weights"
        raise UserError(f"{folder}: {found}: weights are read from model.safetensors only")
    if "tokenizer.json" not in names:
        raise UserError(f"{folder / 'tokenizer.json'}: no such file: the model folder must hold a fast tokenizer")
    return base


def check_fit(params: Params, base: Base) -> None:
    """Raise a UserError unless every student can learn from `base`, and `base` can read every `max_length`."""
    for name, student in params.students.items():
        with at_key(f"students.{name}"):
            check_heads(base.attention_heads, student.attention_heads)
            check_width(architecture_named(base.model_type), base.hidden_size, student.hidden_size)
            layer_map(student.layer_map, base.layers, student.layers)
            if student.initialisation == "teacher" and student.hidden_size > base.hidden_size:
                raise UserError(
                    f"hidden_size {student.hidden_size} exceeds the {base.hidden_size} of {base.name}: "
                    "lower it, or use initialisation random"
                )
    if architecture_named(base.model_type).words is no_words:
        for name, settings in params.augment.items():
            if settings:
                raise UserError(
                    f"augment.{name}: texts are varied word by word of WordPiece, which a {base.model_type!r} lacks: "
                    "set it to null, or start from another model"
                )
    lengths = {f"tasks.{name}.max_length": task.max_length for name, task in params.tasks.items()}
    lengths |= {f"general.max_length of {name}": params.general_of(name).max_length for name in params.students}
    for key, length in lengths.items():
        if length > base.max_positions:
            raise UserError(f"{key}: {base.name} takes at most {base.max_positions} tokens, not {length}: lower it")
