"""The teacher: a pretrained encoder with a classification head, fine-tuned on one task."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import set_seed

from confidistill.architectures import architecture_in
from confidistill.architectures.architecture import model_inputs
from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.classifier import Metric, new_classifier, save_classifier, selection
from confidistill.distillation.data import Batch, Examples
from confidistill.distillation.identity import identity
from confidistill.distillation.processes import is_writer
from confidistill.distillation.training import fit
from confidistill.distillation.validation import check_length, check_targets
from confidistill.text.tokens import load_tokenizer


def finetune_teacher(
    base: Path,
    train: pd.DataFrame,
    dev: pd.DataFrame,
    output: Path,
    *,
    label_names: Sequence[str],
    max_length: int,
    training: Training,
    metric: Metric,
    selected_on: str = "dev",
    checkpoints: Path,
) -> None:
    """Fine-tune the model in the folder `base` and write a Hugging Face classifier to `output`.

    The epoch with the best `metric` on `dev` is kept. Tables have columns text, text_pair (pair tasks) and label.
    Killed, the same call goes on from the last of `checkpoints`.

    Raises:
        UserError: a table has no row, no text, or a label that `label_names` does not have; the model's family is not
            supported, or `max_length` is longer than it can read.
    """
    for what, table in (("train", train), ("dev", dev)):
        check_targets(table, what, len(label_names), logits=False)
    architecture_in(base)
    tokenizer = load_tokenizer(base)
    set_seed(training.seed)
    model = new_classifier(base, label_names)
    check_length(max_length, model.config)
    history = fit(
        model,
        Examples(tokenizer, train, max_length),
        loss=partial(_cross_entropy, inputs=model_inputs(model)),
        training=training,
        pad_token_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        inputs=identity(base, train, dev, list(label_names), max_length, metric, selected_on, *code_behind(__name__)),
        selection=selection(metric, selected_on, Examples(tokenizer, dev, max_length), tokenizer.pad_token_id),
    )
    if is_writer():
        save_classifier(model, tokenizer, output, history=history, card=f"A teacher, fine-tuned from {base}.")
        shutil.rmtree(checkpoints)


def _cross_entropy(model: nn.Module, batch: Batch, inputs: tuple[str, ...]) -> Tensor:
    labels: torch.Tensor = batch["labels"]
    logits = model(**{key: batch[key] for key in inputs}).logits  # (B, C)
    return functional.cross_entropy(logits, labels)
