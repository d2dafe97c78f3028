"""The training loop of every stage: transformers.Trainer with our loss, our order of examples, and exact resumption."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from confidistill.distillation.arguments import Training, backend, trainer_arguments
from confidistill.distillation.checkpoints import COMPLETE, discard_other_runs, last_checkpoint
from confidistill.distillation.data import Batch, BucketedBatches, Examples, Sequences, collator
from confidistill.distillation.identity import identity
from confidistill.distillation.selection import KeepBest, Selection
from confidistill.errors import UserError

Loss = Callable[[nn.Module, Batch], Tensor]


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
    """Train `model` in place and return its history: rows of mean loss since the last such row, of learning rate and
    gradient norm, the last of them at the last step; and a row an epoch of the dev metric.

    A checkpoint is left in `checkpoints` every `checkpoint_steps`; called again with the same `inputs` and settings
    after having been killed, it goes on from the last one and ends with the same weights (on CPU in fp32, to the byte).
    The caller removes the folder once it has written what it wants to keep. Started under torchrun, every process
    takes its share of each batch, and the history is that of one process (to rounding, and but for dropout's noise).

    Args:
        loss: a mean over a batch from the model, in training mode and perhaps wrapped, and the batch.
        inputs: identifies everything that goes in, code included; a checkpoint of other inputs, settings, number of
            processes or versions is discarded.

    Raises:
        UserError: the batch size is not a multiple of the number of processes; the loss is not finite.
    """
    steps = math.ceil(len(data) / training.batch_size)
    arguments = trainer_arguments(training, checkpoints, steps)
    if training.batch_size % arguments.world_size:
        raise UserError(f"batch_size {training.batch_size} is not a multiple of {arguments.world_size} processes")
    if arguments.should_save:
        versions = (torch.__version__, transformers.__version__)
        discard_other_runs(checkpoints, identity(inputs, asdict(training), arguments.world_size, versions))
    arguments.distributed_state.wait_for_everyone()
    batches = BucketedBatches(
        data.lengths,
        training.batch_size,
        training.seed,
        process=arguments.process_index,
        processes=arguments.world_size,
    )
    callbacks: list[TrainerCallback] = [_Flow(batches)]
    best = None
    if selection:
        best = KeepBest(selection, len(batches), checkpoints / "best", arguments.should_save)
        callbacks.append(best)
    trainer = _Trainer(model, arguments, train_dataset=data, callbacks=callbacks)
    trainer.step_loss, trainer.batches = loss, batches
    trainer.loader = DataLoader(
        data, batch_sampler=batches, collate_fn=collator(pad_token_id), pin_memory=arguments.dataloader_pin_memory
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    if best and arguments.should_save:
        load_model(model, best.folder / "model.safetensors")
    keys = ("loss", "learning_rate", "grad_norm")
    rows = [
        {"step": row["step"]} | {key: row[key] for key in keys} for row in trainer.state.log_history if "loss" in row
    ]
    return rows + (best.history() if best else [])


def is_writer() -> bool:
    """Whether this process writes outputs: the first of those that torchrun started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def writer_first() -> Iterator[None]:
    """A block that the other processes enter when the writer has left it."""
    cpu = not torch.cuda.is_available()
    with PartialState(cpu=cpu, backend=backend(cpu)).main_process_first():
        yield


class _Trainer(Trainer):
    """Trainer with a given loss and given batches."""

    step_loss: Loss
    batches: BucketedBatches
    loader: DataLoader

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        with self.accelerator.autocast():  # for the teacher inside the loss; the student's forward has its own
            return self.step_loss(model, inputs) * self.batches.weight(self.state.global_step % len(self.batches))

    def get_train_dataloader(self) -> DataLoader:
        return self.loader


class _Flow(TrainerCallback):
    """What Trainer leaves open: the epoch's order, a log of the last step, a broken loss, a mark of completeness."""

    def __init__(self, batches: BucketedBatches) -> None:
        self.batches = batches

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.batches.set_epoch(state.global_step // len(self.batches))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_log |= state.global_step == state.max_steps

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not math.isfinite(kwargs["logs"].get("loss", 0.0)):
            raise UserError(f"the loss is not a finite number at step {state.global_step}: lower learning_rate")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        args.distributed_state.wait_for_everyone()  # every process has written its part
        if args.should_save:
            (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / COMPLETE).touch()
