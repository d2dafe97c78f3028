"""What the teacher and the final student have in common: a dev metric that selects, and the folder they end in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from confidistill.confidence.agreement import accuracy, matthews
from confidistill.distillation.data import Examples
from confidistill.distillation.inference import logits_of
from confidistill.distillation.selection import Selection
from confidistill.files import atomic_folder

Metric = Literal["accuracy", "mcc"]
MEASURES = {"accuracy": accuracy, "mcc": matthews}


def selection(metric: Metric, split: str, dev: Examples, pad_token_id: int) -> Selection:
    """Select the epoch by accuracy, or by the Matthews correlation, on `dev`, the rows of `split`."""

    def evaluate(model: nn.Module) -> float:
        predicted = logits_of(model, dev, pad_token_id=pad_token_id).argmax(1)
        assert dev.labels is not None
        return float(MEASURES[metric](predicted, dev.labels))

    return Selection(f"{split}_{metric}", evaluate)


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
