"""Which epoch's weights are kept."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save_model
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from confidistill.distillation.averaging import averaged
from confidistill.files import atomic_file, atomic_folder

POINT = 0.01
Row = dict[str, float]
Keep = Literal["metric", "sigma"]


@dataclass(frozen=True)
class Selection:
    """What is measured after each epoch, and by which of its measures an epoch is kept."""

    measure: Callable[[nn.Module], Row]
    metric: str
    """The measure of which more is better."""
    sigma: str | None = None
    """The measure of which less is better, where it decides among epochs that keep the guard."""
    guard: float = POINT
    """Of the metric: an epoch that is further below the best so far is not kept for its sigma."""
    average: int = 1
    """Of how many epochs, up to the one measured, the weights are averaged."""


def guard_of(examples: int) -> float:
    """What of a metric on so many examples is no loss: a point, or one standard error where that is more.

    The standard error of a share of n examples is at most 1 / (2 sqrt(n)). The rule of one standard error is Breiman et
    al.'s (1984): the best of several epochs is best by luck, too.
    """
    return max(POINT, 0.5 / math.sqrt(examples))


def kept(rows: Sequence[Row], metric: str, sigma: str | None, guard: float = POINT) -> int:
    """Which epoch is kept, the rows of all epochs so far being given; only the last may be new.

    By the metric alone: the first with the largest. By sigma: an epoch replaces the one kept if its metric is within
    `guard` of the largest so far and either its sigma is less or the one kept is no longer within.
    """
    chosen, best = 0, rows[0][metric]
    for number, row in enumerate(rows[1:], start=1):
        if sigma is None:
            chosen = number if row[metric] > best else chosen
        guarded = max(best, row[metric]) - guard
        if sigma and row[metric] >= guarded and (row[sigma] < rows[chosen][sigma] or rows[chosen][metric] < guarded):
            chosen = number
        best = max(best, row[metric])
    return chosen


class KeepBest(TrainerCallback):
    """Evaluate after the last step of an epoch, before a checkpoint of that step is written, and keep the best weights.

    Its state is on disk: a resumed run that repeats an evaluation finds the same value and keeps what is there.
    """

    def __init__(self, selection: Selection, steps_per_epoch: int, folder: Path, writes: bool) -> None:
        self.selection, self.steps_per_epoch = selection, steps_per_epoch
        self.folder, self.writes = folder, writes

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
        chosen = self.selection
        with averaged(model, self.folder.with_name("epochs"), state.global_step, chosen.average):
            model.eval()
            row = {"step": state.global_step} | chosen.measure(model)
            model.train()
            history = [*(earlier for earlier in self.history() if earlier["step"] < state.global_step), row]
            if kept(history, chosen.metric, chosen.sigma, chosen.guard) == len(history) - 1:
                with atomic_folder(self.folder) as folder:
                    save_model(model, str(folder / "model.safetensors"))
        with atomic_file(self._log) as path:
            path.write_text(json.dumps(history))

    def history(self) -> list[Row]:
        return json.loads(self._log.read_text()) if self._log.exists() else []

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".json")
