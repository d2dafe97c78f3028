"""The training loop of every stage: transformers.Trainer with our loss, our order of examples, and exact resumption."""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from confidistill.distillation.data import Batch, BucketedBatches, Examples, Sequences, collator
from confidistill.distillation.identity import identity
from confidistill.errors import UserError
from confidistill.files import atomic_file, atomic_folder

Loss = Callable[[nn.Module, Batch], Tensor]
COMPLETE = "complete"  # a file in a checkpoint that was written to its end


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
    """Train `model` in place and return its history: rows of mean loss since the last such row, of learning rate and
    gradient norm, the last of them at the last step; and a row an epoch of the dev metric.

    A checkpoint is left in `checkpoints` every `checkpoint_steps`; called again with the same `inputs` and settings
    after having been killed, it goes on from the last one and ends with the same weights (on CPU in fp32, to the byte).
    The caller removes the folder once it has written what it wants to keep. Started under torchrun, every process
    takes its share of each batch, and the history is that of one process (to rounding, and but for dropout's noise).

    Args:
        loss: a mean over a batch from the model, in training mode and perhaps wrapped, and the batch.
        inputs: identifies everything that goes in; a checkpoint of other inputs, settings, number of processes or
            code is discarded.

    Raises:
        UserError: the batch size is not a multiple of the number of processes; the loss is not finite.
    """
    arguments = _arguments(training, checkpoints)
    if training.batch_size % arguments.world_size:
        raise UserError(f"batch_size {training.batch_size} is not a multiple of {arguments.world_size} processes")
    if arguments.should_save:
        code = sorted(Path(__file__).parent.glob("*.py"))
        _discard_other_runs(
            checkpoints, identity(inputs, asdict(training), arguments.world_size, torch.__version__, *code)
        )
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
        best = _Best(selection, len(batches), checkpoints / "best", arguments.should_save)
        callbacks.append(best)
    trainer = _Trainer(model, arguments, train_dataset=data, callbacks=callbacks)
    trainer.step_loss, trainer.batches = loss, batches
    trainer.loader = DataLoader(
        data, batch_sampler=batches, collate_fn=collator(pad_token_id), pin_memory=arguments.dataloader_pin_memory
    )
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
    """Whether this process writes outputs: the first of those that torchrun started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def writer_first() -> Iterator[None]:
    """A block that the other processes enter when the writer has left it."""
    cpu = not torch.cuda.is_available()
    with PartialState(cpu=cpu, backend=_backend(cpu)).main_process_first():
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
        ddp_backend=_backend(cpu),
        ddp_find_unused_parameters=False,
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


def _backend(cpu: bool) -> str | None:
    """What processes speak to each other through; None: accelerate's choice, and none for a single process."""
    return "gloo" if cpu and "LOCAL_RANK" in os.environ else None


def _discard_other_runs(checkpoints: Path, digest: str) -> None:
    mark = checkpoints / "inputs.sha256"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(checkpoints, ignore_errors=True)
        with atomic_file(mark) as path:
            path.write_text(digest)


def _last_checkpoint(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    complete = [path.parent for path in checkpoints.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None
