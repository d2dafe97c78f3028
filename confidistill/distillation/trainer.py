"""transformers.Trainer with a given loss, given batches, and steps that may be taken in parts."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.utils import SAFE_WEIGHTS_NAME

from confidistill.distillation.checkpoints import mark_complete
from confidistill.distillation.data import Batch, BucketedBatches
from confidistill.errors import UserError

Loss = Callable[[nn.Module, Batch], Tensor]


class StepTrainer(Trainer):
    """A step is one batch; `micro_batch` of its examples (None: all) go through the model at once.

    The loss is a mean over examples, so each part counts its share of the batch and the gradients add up to the whole
    batch's, however it is parted.
    """

    step_loss: Loss
    batches: BucketedBatches
    loader: DataLoader
    micro_batch: int | None = None
    halves: bool = True
    """Whether a step for which memory does not suffice is taken again in parts of half the size."""
    _share = 1.0  # of the batch, in the part at hand

    def training_step(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        rows = len(inputs["input_ids"])
        while True:
            try:
                return self._in_parts(model, inputs, min(self.micro_batch or rows, rows))
            except torch.OutOfMemoryError:
                self.micro_batch = self._half(min(self.micro_batch or rows, rows), inputs)
            # Outside the handler, whose exception holds the tensors of the step that failed.
            model.zero_grad()
            torch.cuda.empty_cache()

    def _in_parts(self, model: nn.Module, inputs: Batch, size: int) -> Tensor:
        rows = len(inputs["input_ids"])
        losses = []
        for start in range(0, rows, size):
            part = {key: tensor[start : start + size] for key, tensor in inputs.items()}
            self._share = len(part["input_ids"]) / rows
            # Processes exchange gradients once a step, with the last part's.
            exchange = nullcontext() if start + size >= rows else self.accelerator.no_sync(model)
            with exchange:
                losses.append(super().training_step(model, part))
        return torch.stack(losses).sum() if len(losses) > 1 else losses[0]

    def _half(self, size: int, inputs: Batch) -> int:
        at_once = f"{size} examples of {inputs['input_ids'].shape[1]} tokens at once"
        if not self.halves:
            raise UserError(f"memory does not suffice for {at_once}: lower micro_batch_size")
        if self.accelerator.num_processes > 1:  # the others are waiting for this one's gradients
            raise UserError(f"memory does not suffice for {at_once}: set micro_batch_size to {max(size // 2, 1)}")
        if size == 1:
            raise UserError(f"memory does not suffice for {at_once}: lower max_length or take a smaller model")
        print(f"memory does not suffice for {at_once}: going on with {size // 2}, same batch", file=sys.stderr)
        return size // 2

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        weight = self.batches.weight(self.state.global_step % len(self.batches)) * self._share
        with self.accelerator.autocast():  # for the teacher inside the loss; the student's forward has its own
            return self.step_loss(model, inputs) * weight

    def get_train_dataloader(self) -> DataLoader:
        return self.loader

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # As they are: `save_pretrained` writes some families' weights under the names of older releases, which a
        # resumed run, that loads them as they are, would pass over.
        if self.args.should_save:
            folder = Path(str(output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_model(self.accelerator.unwrap_model(self.model), str(folder / SAFE_WEIGHTS_NAME))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.args.distributed_state.wait_for_everyone()  # every process has written its part
        if self.args.should_save:
            mark_complete(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}", self.micro_batch)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fp16 and self.args.device.type == "cpu":
            # What accelerate does on every other device; on a CPU it would train in fp32 without a word.
            self.accelerator.native_amp = True
            self.accelerator.scaler = torch.amp.GradScaler("cpu")
