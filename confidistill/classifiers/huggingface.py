"""A sequence classifier in a Hugging Face folder, of any family that transformers knows."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from confidistill.architectures.architecture import model_inputs
from confidistill.distillation.data import Examples, collator
from confidistill.distillation.inference import logits_of
from confidistill.distillation.validation import check_length
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer


class HuggingFaceClassifier:
    """A `Classifier`; its weights are read when logits are first asked for.

    Raises:
        UserError: the folder holds no model in safetensors, no readable configuration, a model of several labels a text
            or one that reads fewer tokens than `max_length`; with `logits`, weights that are unreadable or not all of a
            classifier, its head included.
    """

    def __init__(self, folder: Path, *, max_length: int, batch_size: int = 64) -> None:
        self.folder, self.max_length, self.batch_size = folder, max_length, batch_size
        self.config = _config(folder)
        if self.config.problem_type == "multi_label_classification":
            raise UserError(
                f"{folder / 'config.json'}: problem_type is multi_label_classification: "
                "give a classifier of one class a text, whose probabilities sum to 1"
            )
        check_length(max_length, self.config)

    @property
    def class_names(self) -> list[str]:
        """From id2label in config.json."""
        names: dict[Any, str] = self.config.id2label or {}
        return [str(names[index]) for index in sorted(names)]

    def logits(self, table: pd.DataFrame) -> np.ndarray:
        """As of `Classifier`; batches of like length, put back in order."""
        tokenizer = load_tokenizer(self.folder)
        columns = [name for name in ("text", "text_pair") if name in table]
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.config.pad_token_id
        return logits_of(
            self.model,
            Examples(tokenizer, table[columns], self.max_length),
            pad_token_id=padding or 0,
            batch_size=1 if padding is None else self.batch_size,  # nothing to pad a shorter text with
            what=f"logits of {self.folder}",
        )

    def batch(self, table: pd.DataFrame) -> Callable[[], np.ndarray]:
        """The rows of a table as one padded batch; the function runs the model on it: (B, C)."""
        tokenizer = load_tokenizer(self.folder)
        columns = [name for name in ("text", "text_pair") if name in table]
        examples = Examples(tokenizer, table[columns], self.max_length)
        batch = collator(tokenizer.pad_token_id or 0)([examples[row] for row in range(len(examples))])
        model = self.model.eval()
        inputs = {name: batch[name].to(model.device) for name in model_inputs(model)}

        def run() -> np.ndarray:
            with torch.inference_mode():
                logits: np.ndarray = model(**inputs).logits.float().cpu().numpy()
            return logits

        return run

    @cached_property
    def model(self) -> PreTrainedModel:
        """In evaluation mode once it has been asked for logits; read once, on the GPU where there is one."""
        try:
            model, loaded = AutoModelForSequenceClassification.from_pretrained(
                self.folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{self.folder}: {str(error).splitlines()[0]}") from None
        if missing := sorted(loaded["missing_keys"]):
            raise UserError(f"{self.folder}: no classifier: its weights lack {missing[0]}: fine-tune it first")
        nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
        return model


def _config(folder: Path) -> PretrainedConfig:
    for names in (["config.json"], ["model.safetensors", "model.safetensors.index.json"]):
        if not any((folder / name).is_file() for name in names):
            raise UserError(
                f"{folder / names[0]}: no such file: give the folder of a Hugging Face classifier in safetensors"
            )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'}: {str(error).splitlines()[0]}") from None
