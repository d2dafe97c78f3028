"""How one model is trained, and the same in the words of transformers.Trainer."""

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import TrainingArguments

from confidistill.distillation.precision import Setting


@dataclass(frozen=True)
class Training:
    """How one model is trained."""

    epochs: int
    batch_size: int
    """Examples of one optimiser step, all processes together."""
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    """Share of all steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "constant", "cosine"]
    precision: Setting
    seed: int
    checkpoint_steps: int
    micro_batch_size: int | Literal["auto"] = "auto"
    """How many of a step's examples go through the model at once in a process; `auto`: all, and half as many each time
    that memory doesn't suffice."""
    deterministic: bool = False
    """On a GPU, the same bytes from the same seed, at a price in speed. A processor always gives them."""


def trainer_arguments(training: Training, checkpoints: Path, steps_per_epoch: int) -> TrainingArguments:
    """The same in transformers' words, for epochs of so many optimiser steps; the precision is one that was settled."""
    cpu = not torch.cuda.is_available()
    schedule = (
        "constant_with_warmup" if training.schedule == "constant" and training.warmup_ratio else training.schedule
    )
    # The logged loss is a mean since the last log, so a log must come with each checkpoint for a resumed run to agree.
    logging_steps = max(step for step in range(1, 11) if training.checkpoint_steps % step == 0)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=1,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=math.ceil(training.warmup_ratio * training.epochs * steps_per_epoch),
        lr_scheduler_type=schedule,
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        seed=training.seed,
        full_determinism=training.deterministic and not cpu,
        use_cpu=cpu,
        ddp_backend=backend(cpu),
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # the same in every process from the start, and as large as the vocabulary
        save_strategy="steps",
        save_steps=training.checkpoint_steps,
        save_total_limit=2,  # Trainer deletes the older ones before the newest is marked complete
        logging_steps=logging_steps,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
        remove_unused_columns=False,
        dataloader_pin_memory=not cpu,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are for torchrun, not for DataParallel
    arguments.per_device_train_batch_size = training.batch_size // arguments.world_size
    return arguments


def backend(cpu: bool) -> str | None:
    """What processes speak to each other through; None: accelerate's choice, and none for a single process."""
    return "gloo" if cpu and "LOCAL_RANK" in os.environ else None
