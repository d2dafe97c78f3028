"""Some steps of the pipeline's own training loop, at random weights and on random texts, all of the full length.

The n-th token is drawn in proportion to 1 / n, as in text: how many different ones there are is part of a step's cost.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from bench.models import classifier, intermediate, logits_loss
from bench.shapes import STUDENTS
from confidistill.distillation.arguments import Training
from confidistill.distillation.data import Batch, Example, Sequences
from confidistill.distillation.training import fit

FIRST, WORDS = 1000, 29_000  # of BERT's vocabulary: where its words begin, and how many
Precision = Literal["fp32", "bf16", "fp16"]


class Targets(Sequences):
    """Tokens with a label and logits, as stage 2 needs."""

    def __getitem__(self, index: int) -> Example:
        return super().__getitem__(index) | {"labels": np.int64(0), "teacher_logits": np.array([1, -1], np.float32)}


def train(
    student: str,
    stage: int,
    *,
    batch: int,
    length: int,
    steps: int,
    precision: Precision = "fp32",
    seed: int = 0,
    at_step: Callable[[], Any] = lambda: None,
    compiled: bool = False,
    **config: Any,
) -> None:
    """Loading of batches, the teacher's forward pass in stage 1, the step of the optimiser; `at_step` before each.

    `compiled`: teacher and student by torch.compile. `config` is of the models' configuration.
    """
    torch.manual_seed(seed)
    large, small = STUDENTS[student]
    share = 1 / np.arange(1, WORDS + 1)
    drawn = np.random.default_rng(seed).choice(WORDS, (steps * batch, length), p=share / share.sum())
    tokens = (FIRST + drawn).astype(np.int32)
    model: torch.nn.Module
    if stage == 1:
        teacher = classifier(large, **config)
        model, loss = intermediate(teacher, small)
        if compiled:
            teacher.bert.compile()
    else:
        model, loss = classifier(small, **config), logits_loss
    if compiled:
        model.compile()

    def timed(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        at_step()
        return loss(model, batch)

    training = Training(
        epochs=1, batch_size=batch, learning_rate=5e-5, weight_decay=1e-4, warmup_ratio=0.1, schedule="linear",
        precision=precision, seed=seed, checkpoint_steps=10 * steps, micro_batch_size=batch,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        fit(
            model, Sequences(tokens) if stage == 1 else Targets(tokens), loss=timed, training=training,
            pad_token_id=0, checkpoints=Path(folder) / "run", inputs="bench",
        )  # fmt: skip
