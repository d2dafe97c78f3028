"""What the teacher and the final student have in common: a dev metric that selects, and the folder they end in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from confidistill.architectures.architecture import own_storage
from confidistill.confidence.agreement import accuracy, matthews
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.predictions import softmax
from confidistill.distillation.data import Examples
from confidistill.distillation.inference import logits_of
from confidistill.distillation.selection import Keep, Row, Selection, Stop, guard_of
from confidistill.files import atomic_folder

Metric = Literal["accuracy", "mcc"]
MEASURES = {"accuracy": accuracy, "mcc": matthews}


def new_classifier(encoder: Path, label_names: Sequence[str], **changes: Any) -> PreTrainedModel:
    """The encoder in the folder with a new head of these classes; `changes` are to its configuration."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        encoder,
        use_safetensors=True,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={name: index for index, name in enumerate(label_names)},
        **changes,
    )
    own_storage(model)
    return model


def selection(
    metric: Metric,
    split: str,
    dev: Examples,
    pad_token_id: int,
    *,
    train: Examples | None = None,
    keep: Keep = "metric",
    average: int = 1,
    stop: Stop | None = None,
) -> Selection:
    """Measure an epoch by accuracy, or by the Matthews correlation, on `dev`, the rows of `split`; and by sigma.

    Where `train` is given, both sets have the teacher's logits, and `sigma` on `train` and `sigma_<split>` are
    measured, too: the RMS of delta in evaluation mode (paper, Eq. 4). `keep` says which of them decides: `sigma` only
    among epochs whose metric is within a point, or within one standard error, of the best. What is measured and kept is
    the mean of the weights of the last `average` epochs. `stop` may end training by sigma on `train`.
    """

    def measure(model: nn.Module) -> Row:
        logits = logits_of(model, dev, pad_token_id=pad_token_id)
        assert dev.labels is not None
        row = {f"{split}_{metric}": float(MEASURES[metric](logits.argmax(1), dev.labels))}
        if train is not None:
            row["sigma"] = _sigma(train, logits_of(model, train, pad_token_id=pad_token_id))
            row[f"sigma_{split}"] = _sigma(dev, logits)
        return row

    decides = "sigma" if keep == "sigma" else None
    return Selection(measure, f"{split}_{metric}", decides, guard_of(len(dev)), average, stop)


def _sigma(examples: Examples, logits: np.ndarray) -> float:
    assert examples.teacher_logits is not None
    return sigma(pairwise_difference(softmax(examples.teacher_logits), softmax(logits)))


def save_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    output: Path,
    *,
    history: Sequence[dict[str, Any]],
    card: str,
) -> None:
    """Write a plain Hugging Face folder: safetensors, config, tokenizer, model card; and the training history."""
    labels = ", ".join(map(str, (model.config.id2label or {}).values()))
    with atomic_folder(output) as folder:
        if model._can_set_attn_implementation():
            model.set_attn_implementation("sdpa")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "history.json").write_text(json.dumps(history, indent=1) + "\n")
        (folder / "README.md").write_text(
            "---\nlibrary_name: transformers\npipeline_tag: text-classification\ntags: [confidistill]\n---\n\n"
            f"# {output.name}\n\n{card}\n\nClasses: {labels}. "
            f"{model.config.num_hidden_layers} layers of {model.config.hidden_size}, "
            f"{model.num_parameters():,} parameters. "
            "Load it with `AutoModelForSequenceClassification.from_pretrained(folder)`.\n"
        )
