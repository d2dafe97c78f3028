"""Students published by the TinyBERT authors: their parameter names, mapped onto ours."""

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from confidistill.distillation.processes import is_writer
from confidistill.distillation.student import Student, StudentShape, new_student, write_student
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer

PROJECTION = "fit_dense."
# Heads of pretraining and of a task: known, and no part of a general student.
HEADS = ("cls.", "classifier.")
BUFFERS = ("embeddings.position_ids",)


def import_checkpoint(folder: Path, teacher: Path, output: Path, *, shape: StudentShape) -> None:
    """Write the student that `folder` holds in TinyBERT's form (model.safetensors, config.json) to `output`.

    The tokenizer is the teacher's: both use the same vocabulary. Of several processes, the first writes.

    Raises:
        UserError: weights are there as a pickle only, are not of `shape`, or a key is unexpected or missing.
    """
    weights = folder / "model.safetensors"
    if not weights.exists():
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        hint = (
            f"it has {pickled[0]}, a pickle, which can run code when it is read: convert it where you trust it, as "
            "docs/own-data.md tells"
            if pickled
            else "put the weights there"
        )
        raise UserError(f"{weights}: no such file: {hint}")
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise UserError(f"{weights}: not a safetensors file: {error}") from None
    student = student_of(state, AutoConfig.from_pretrained(teacher), shape, str(weights))
    if is_writer():
        write_student(student, load_tokenizer(teacher), output)


def student_of(state: Mapping[str, Tensor], teacher: PretrainedConfig, shape: StudentShape, name: str) -> Student:
    """A student of `shape` with the weights of `state`, in TinyBERT's names.

    `bert.` before a name is optional, LayerNorm's gamma and beta are weight and bias, `fit_dense` is the projection,
    and heads are left out. `name` is what errors call the weights.

    Raises:
        UserError: a key is unexpected, missing, or of another size.
    """
    student = new_student(teacher, shape)
    theirs = {_mapped(key): key for key in state if not key.startswith(HEADS) and not key.endswith(BUFFERS)}
    expected = student.state_dict()
    unexpected = [key for ours, key in theirs.items() if ours not in expected]
    missing = [_published(key) for key in expected if key not in theirs]
    for problem, keys in (("unexpected", unexpected), ("missing", missing)):
        if keys:
            raise UserError(f"{name}: {problem} key {keys[0]!r} ({len(keys)} in all): is it a student of this shape?")
    mapped = {ours: state[key] for ours, key in theirs.items()}
    for ours, tensor in mapped.items():
        if tensor.shape != expected[ours].shape:
            raise UserError(
                f"{name}: {theirs[ours]!r} has shape {tuple(tensor.shape)}, "
                f"the student needs {tuple(expected[ours].shape)}"
            )
    student.load_state_dict(mapped)
    return student


def _mapped(key: str) -> str:
    """Our name of a parameter: projection.weight, encoder.<the encoder's name>."""
    if key.startswith(PROJECTION):
        return f"projection.{key.removeprefix(PROJECTION)}"
    key = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", key))
    return f"encoder.{key.removeprefix('bert.')}"


def _published(key: str) -> str:
    """TinyBERT's name of our parameter."""
    return re.sub(r"^projection\.", PROJECTION, re.sub(r"^encoder\.", "bert.", key))
