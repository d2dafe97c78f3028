"""Classifiers that are compared: whatever one is made of, it gives logits for the rows of a table."""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from confidistill.classifiers.predictions import PredictionsClassifier
from confidistill.errors import UserError
from confidistill.imports import importing
from confidistill.teachers.lookup import TABLE

ONNX = ".onnx"


class Classifier(Protocol):
    """C classes, in the order of their logits."""

    @property
    def class_names(self) -> list[str]:
        """C names."""

    @property
    def max_length(self) -> int:
        """Tokens of a text that are read; what is beyond is cut off."""

    def logits(self, table: pd.DataFrame) -> np.ndarray:
        """Logits (N, C) float32 in evaluation mode of the rows of a table with text and perhaps text_pair.

        Raises:
            UserError: the table has no row, or a row no text; or what the classifier is made of cannot be read.
        """


def open_classifier(path: Path, *, max_length: int) -> Classifier:
    """The classifier at `path`: a Hugging Face folder of one, an ONNX file or its folder, or the folder of a table.

    Raises:
        UserError: there is none, or it reads fewer tokens than `max_length`.
    """
    if (path / TABLE).is_file():
        return PredictionsClassifier(path, max_length=max_length)
    if graph := onnx_path(path):
        from confidistill.classifiers.onnx_file import OnnxClassifier

        return OnnxClassifier(graph, max_length=max_length)
    with importing():
        from confidistill.classifiers.huggingface import HuggingFaceClassifier

    return HuggingFaceClassifier(path, max_length=max_length)


def onnx_path(path: Path) -> Path | None:
    """The ONNX file that `path` is, or that is alone in the folder `path`; None: the folder has safetensors, or none.

    Raises:
        UserError: the folder has several.
    """
    if path.suffix == ONNX:
        return path
    if not path.is_dir() or any(path.glob("*.safetensors*")):
        return None
    found = sorted(path.glob(f"*{ONNX}"))
    if len(found) > 1:
        raise UserError(f"{path}: several models, {', '.join(file.name for file in found)}: name one of the files")
    return found[0] if found else None
