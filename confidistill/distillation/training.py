"""The training loop of every stage: transformers.Trainer with our loss, our order of examples, and exact resumption."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from safetensors.torch import load_model
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from confidistill.architectures import architecture_of
from confidistill.distillation.arguments import Training, backend, trainer_arguments
from confidistill.distillation.attention import trained_attention
from confidistill.distillation.checkpoints import (
    PRECISION,
    discard_other_runs,
    last_checkpoint,
    micro_batch_of,
    step_of,
)
from confidistill.distillation.data import BucketedBatches, Examples, Sequences, collator, used_ids
from confidistill.distillation.dropout import trained_dropout
from confidistill.distillation.identity import identity
from confidistill.distillation.precision import Setting, candidates, of_family, settle
from confidistill.distillation.processes import is_writer, own_place
from confidistill.distillation.selection import KeepBest, Selection
from confidistill.distillation.trainer import Loss, StepTrainer
from confidistill.distillation.variants import Rows
from confidistill.distillation.vocabulary import used_rows
from confidistill.errors import UserError


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
    rows: Rows | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place and return its history: a row of the precision and, on a processor, of the threads; rows
    of mean loss since the last such row, of learning rate and gradient norm (None where fp16 overflowed, a step that is
    not taken), the last of them at the last step; and a row an epoch of the dev metric.

    A checkpoint is left in `checkpoints` every `checkpoint_steps`; called again with the same `inputs` and settings
    after having been killed, it goes on from the last one and ends with the same weights (on a CPU, to the byte).
    The caller removes the folder once it has written what it wants to keep. Started under torchrun, every process
    takes its share of each batch, and the history is that of one process (to rounding, and but for dropout's noise).

    Args:
        loss: a mean over a batch from the model, in training mode and perhaps wrapped, and the batch.
        inputs: identifies everything that goes in, code included; a checkpoint of other inputs, settings, number of
            processes or versions is discarded.

        rows: which examples of `data` an epoch is of; None: all.

    Raises:
        UserError: the batch size is not a multiple of the number of processes; the model does not compute in the
            precision; the loss is not finite.
    """
    process, processes = own_place()
    if training.batch_size % processes:
        raise UserError(f"batch_size {training.batch_size} is not a multiple of {processes} processes")
    asked = _asked(training.precision, model)
    with writer_first():
        if is_writer():
            versions = (torch.__version__, transformers.__version__)
            settings = asdict(training) | {"precision": candidates(asked)}
            discard_other_runs(checkpoints, identity(inputs, settings, processes, versions))
        precision = settle(asked, checkpoints / PRECISION)
    batches = BucketedBatches(
        data.lengths, training.batch_size, training.seed, rows=rows, process=process, processes=processes
    )
    arguments = trainer_arguments(replace(training, precision=precision), checkpoints, len(batches))
    callbacks: list[TrainerCallback] = [_Flow(batches)]
    best = None
    if selection:
        best = KeepBest(selection, len(batches), checkpoints / "best", arguments.should_save)
        callbacks.append(best)
    with used_rows(model, used_ids(data, pad_token_id)), trained_attention(model, precision):
        trainer = StepTrainer(model, arguments, train_dataset=data, callbacks=callbacks)
        trainer.step_loss, trainer.batches = trained_dropout(precision)(loss), batches
        trainer.halves = training.micro_batch_size == "auto"
        trainer.micro_batch = None if training.micro_batch_size == "auto" else training.micro_batch_size
        trainer.loader = DataLoader(
            data, batch_sampler=batches, collate_fn=collator(pad_token_id), pin_memory=arguments.dataloader_pin_memory
        )
        trainer.remove_callback(PrinterCallback)
        checkpoint = last_checkpoint(checkpoints)
        if checkpoint:
            trainer.micro_batch = micro_batch_of(checkpoint)
            if best and best.ended_at == step_of(checkpoint):  # killed between its end and what the caller keeps of it
                arguments.num_train_epochs = step_of(checkpoint) / len(batches)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if best and arguments.should_save:
            load_model(model, best.folder / "model.safetensors")
    logged = [_row(row) for row in trainer.state.log_history if "loss" in row]
    trained_in = {"precision": precision} | ({} if torch.cuda.is_available() else {"threads": torch.get_num_threads()})
    return [trained_in, *logged, *(best.history() if best else [])]


def _asked(setting: Setting, model: nn.Module) -> Setting:
    """`of_family`, of what is a pretrained model or holds one; anything else computes in what it is asked to."""
    families = (architecture_of(one.config) for one in model.modules() if isinstance(one, PreTrainedModel))
    family = next(families, None)
    return of_family(setting, family) if family else setting


def _row(logged: dict[str, float]) -> dict[str, float | None]:
    """Of what Trainer logged, what is kept."""
    values = {key: logged[key] for key in ("step", "loss", "learning_rate", "grad_norm")}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


@contextmanager
def writer_first() -> Iterator[None]:
    """A block that the other processes enter when the writer has left it."""
    cpu = not torch.cuda.is_available()
    with PartialState(cpu=cpu, backend=backend(cpu)).main_process_first():
        yield


class _Flow(TrainerCallback):
    """What Trainer leaves open: the epoch's order, a log of the last step, a broken loss."""

    def __init__(self, batches: BucketedBatches) -> None:
        self.batches = batches

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.batches.set_epoch(state.global_step // len(self.batches))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_log |= state.global_step == state.max_steps

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not math.isfinite(kwargs["logs"].get("loss", 0.0)):
            remedy = "lower learning_rate" + (", or set precision to fp32" if args.fp16 else "")
            raise UserError(f"the loss is not a finite number at step {state.global_step}: {remedy}")
