"""The families of encoders that can be distilled: what is said of each, and the one table of them all.

A student is of its teacher's family.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from confidistill.architectures.architecture import Architecture
from confidistill.architectures.families import FAMILIES
from confidistill.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

ARCHITECTURES = {architecture.model_type: architecture for architecture in FAMILIES}


def architecture_named(model_type: str) -> Architecture:
    """The family that config.json calls so.

    Raises:
        UserError: it is none of those supported, which the message names.
    """
    if model_type not in ARCHITECTURES:
        raise UserError(f"a {model_type!r} model is not supported: supported are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[model_type]


def architecture_of(config: PretrainedConfig) -> Architecture:
    """The family of a configuration; a UserError as of `architecture_named`."""
    return architecture_named(config.model_type)


def architecture_in(folder: Path) -> Architecture:
    """The family of the model in a Hugging Face folder.

    Raises:
        UserError: its config.json is missing or unreadable, or its family is not supported.
    """
    from transformers import AutoConfig

    path = Path(folder) / "config.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file: not the folder of a model")
    try:
        return architecture_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None


def longest_input(config: PretrainedConfig) -> int | None:
    """The most tokens that a model reads, of any family; None: its configuration sets no limit."""
    if config.model_type in ARCHITECTURES:
        return ARCHITECTURES[config.model_type].longest(config)
    return getattr(config, "max_position_embeddings", None)
