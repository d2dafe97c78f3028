"""The training loop of every stage: transformers.Trainer with our loss, our order of examples, and exact resumption."""

import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from confidistill.distillation.data import Batch, BucketedSampler, Examples, Sequences, collator
from confidistill.errors import UserError
from confidistill.files import atomic_file, atomic_folder

Loss = Callable[[nn.Module, Batch], Tensor]


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
    precision: Literal["fp32", "bf16"]
    seed: int
    checkpoint_steps: int


@dataclass(frozen=True)
class Selection:
    """Keep the weights of the epoch with the best dev metric."""

    metric: str
    evaluate: Callable[[nn.Module], float]


def fit(
    model: nn.Module,
    data: Examples | Sequences,
    *,
    loss: Loss,
    training: Training,
    pad_token_id: int,
    checkpoints: Path,
    inputs: str,
    selection: Selection | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place and return its history: a row a logged step, and a row an epoch of the dev metric.

    A checkpoint is left in `checkpoints` every `checkpoint_steps`; called again with the same `inputs` and settings
    after having been killed, it goes on from the last one and ends with the same weights (on CPU in fp32, to the byte).
    The caller removes the folder once it has written what it wants to keep.

    Args:
        loss: a scalar from the model, in training mode and perhaps wrapped, and a batch.
        inputs: identifies everything that goes in; a checkpoint of other inputs or settings is discarded.

    Raises:
        UserError: the batch size is not a multiple of the number of processes.
    """
    arguments = _arguments(training, checkpoints)
    if training.batch_size % arguments.world_size:
        raise UserError(f"batch_size {training.batch_size} is not a multiple of {arguments.world_size} processes")
    if arguments.should_save:
        _discard_other_runs(checkpoints, f"{inputs} {asdict(training)}")
    arguments.distributed_state.wait_for_everyone()
    sampler = BucketedSampler(data.lengths, training.batch_size, training.seed)
    steps_per_epoch = math.ceil(len(data) / training.batch_size)
    callbacks: list[TrainerCallback] = [_Epochs(sampler, steps_per_epoch)]
    best = None
    if selection:
        best = _Best(selection, steps_per_epoch, checkpoints / "best", arguments.should_save)
        callbacks.append(best)
    trainer = _Trainer(model, arguments, data_collator=collator(pad_token_id), train_dataset=data, callbacks=callbacks)
    trainer.step_loss, trainer.sampler = loss, sampler
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
    if best and arguments.should_save:
        load_model(model, best.folder / "model.safetensors")
    keys = ("loss", "learning_rate", "grad_norm")
    rows = [
        {"step": row["step"]} | {key: row[key] for key in keys} for row in trainer.state.log_history if "loss" in row
    ]
    return rows + (best.history() if best else [])


def is_writer() -> bool:
    """Whether this process writes outputs: the first of those started together, or the only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


class _Trainer(Trainer):
    """Trainer with a given loss and a given order of examples."""

    step_loss: Loss
    sampler: BucketedSampler

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        return self.step_loss(model, inputs)

    def _get_train_sampler(self, *_: Any) -> BucketedSampler:
        return self.sampler


class _Epochs(TrainerCallback):
    """Tell the sampler which epoch begins, also when a run resumes inside one."""

    def __init__(self, sampler: BucketedSampler, steps_per_epoch: int) -> None:
        self.sampler, self.steps_per_epoch = sampler, steps_per_epoch

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.sampler.set_epoch(state.global_step // self.steps_per_epoch)


class _Best(TrainerCallback):
    """Evaluate after the last step of an epoch, before a checkpoint of that step is written, and keep the best weights.

    Its state is on disk: a resumed run that repeats an evaluation finds the same value and keeps what is there.
    """

    def __init__(self, selection: Selection, steps_per_epoch: int, folder: Path, writes: bool) -> None:
        self.selection, self.steps_per_epoch, self.folder, self.writes = (
            selection,
            steps_per_epoch,
            folder,
            writes,
        )

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if state.global_step % self.steps_per_epoch or not self.writes:
            return
        model = kwargs["model"]
        model.eval()
        value = self.selection.evaluate(model)
        model.train()
        history = [row for row in self.history() if row["step"] < state.global_step]
        if not history or value > max(row[self.selection.metric] for row in history):
            with atomic_folder(self.folder) as folder:
                save_model(model, str(folder / "model.safetensors"))
        history.append({"step": state.global_step, self.selection.metric: value})
        with atomic_file(self._log) as path:
            path.write_text(json.dumps(history))

    def history(self) -> list[dict[str, float]]:
        return json.loads(self._log.read_text()) if self._log.exists() else []

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".json")


def _arguments(training: Training, checkpoints: Path) -> TrainingArguments:
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
        warmup_steps=training.warmup_ratio,
        lr_scheduler_type=schedule,
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        bf16=training.precision == "bf16",
        seed=training.seed,
        full_determinism=not cpu,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and "LOCAL_RANK" in os.environ else None,
        ddp_find_unused_parameters=False,
        save_strategy="steps",
        save_steps=training.checkpoint_steps,
        save_total_limit=1,
        logging_steps=logging_steps,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
        remove_unused_columns=False,
        dataloader_pin_memory=not cpu,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are for torchrun, not for DataParallel
    arguments.per_device_train_batch_size = training.batch_size // arguments.world_size
    return arguments


def _discard_other_runs(checkpoints: Path, identity: str) -> None:
    mark = checkpoints / "inputs.sha256"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(checkpoints, ignore_errors=True)
        with atomic_file(mark) as path:
            path.write_text(digest)


def _last_checkpoint(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end; Trainer writes the state file last."""
    for folder in sorted(checkpoints.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        return str(folder)
    return None
