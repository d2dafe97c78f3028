"""Logits of a classifier in evaluation mode."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from confidistill.architectures.architecture import model_inputs
from confidistill.distillation.data import Examples, collator
from confidistill.distillation.validation import check_length
from confidistill.errors import UserError
from confidistill.progress import progress
from confidistill.text.tokens import load_tokenizer


def class_names(model: Path) -> list[str]:
    """The classifier's class names, in the order of its logits.

    Raises:
        UserError: the folder holds no model in safetensors, or no readable configuration.
    """
    for names in (["config.json"], ["model.safetensors", "model.safetensors.index.json"]):
        if not any((model / name).is_file() for name in names):
            raise UserError(
                f"{model / names[0]}: no such file: give the folder of a Hugging Face classifier in safetensors"
            )
    try:
        id2label = AutoConfig.from_pretrained(model, trust_remote_code=False).id2label
    except (OSError, ValueError) as error:
        raise UserError(f"{model / 'config.json'}: {str(error).splitlines()[0]}") from None
    return [str(id2label[index]) for index in sorted(id2label)]


def load_classifier(model: Path) -> PreTrainedModel:
    """The Hugging Face sequence classifier in the folder `model`.

    Raises:
        UserError: the weights are unreadable, or do not hold all of a classifier, head included.
    """
    try:
        classifier, loaded = AutoModelForSequenceClassification.from_pretrained(
            model, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{model}: {str(error).splitlines()[0]}") from None
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(f"{model}: no classifier: its weights lack {missing[0]}: fine-tune it first")
    return classifier


def predict_logits(model: Path, table: pd.DataFrame, *, max_length: int, batch_size: int = 64) -> np.ndarray:
    """Logits (N, C) float32 of the Hugging Face classifier in the folder `model`, in the table's order.

    Args:
        table: columns text and perhaps text_pair.

    Raises:
        UserError: the folder holds no whole classifier, or it takes fewer tokens than `max_length`, the table has
            no row or no text.
    """
    tokenizer = load_tokenizer(model)
    classifier = load_classifier(model)
    check_length(max_length, classifier.config)
    columns = [name for name in ("text", "text_pair") if name in table]
    examples = Examples(tokenizer, table[columns], max_length)
    nn.Module.to(classifier, "cuda" if torch.cuda.is_available() else "cpu")
    return logits_of(
        classifier,
        examples,
        pad_token_id=tokenizer.pad_token_id,
        batch_size=batch_size,
        what=f"logits of {model}",
    )


def logits_of(
    model: nn.Module, examples: Examples, *, pad_token_id: int, batch_size: int = 64, what: str | None = None
) -> np.ndarray:
    """Logits (N, C) float32 in evaluation mode, computed in batches of like length and put back in order.

    Progress is shown where `what` names the work.
    """
    model.eval()
    collate = collator(pad_token_id)
    names = model_inputs(model)
    order = np.argsort(-np.asarray(examples.lengths), kind="stable")
    device = next(model.parameters()).device
    rows: list[np.ndarray] = []
    with (
        torch.inference_mode(),
        progress(total=len(order), what=what or "", unit="rows", hidden=not what) as bar,
    ):
        for start in range(0, len(order), batch_size):
            batch = collate([examples[int(index)] for index in order[start : start + batch_size]])
            inputs = {key: batch[key].to(device) for key in names}
            rows.append(model(**inputs).logits.float().cpu().numpy())  # (B, C)
            bar.update(len(rows[-1]))
    logits = np.concatenate(rows)
    restored = np.empty_like(logits)
    restored[order] = logits
    return restored
