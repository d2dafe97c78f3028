"""Classifiers that are compared: whatever one is made of, it gives logits for the rows of a table."""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from confidistill.imports import importing


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
    """The classifier at `path`: today, the folder of a Hugging Face sequence classifier.

    Raises:
        UserError: there is none, or it reads fewer tokens than `max_length`.
    """
    with importing():
        from confidistill.classifiers.huggingface import HuggingFaceClassifier

    return HuggingFaceClassifier(path, max_length=max_length)
