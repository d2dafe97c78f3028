"""Which epoch's weights are kept."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelerate.utils import broadcast_object_list
from safetensors.torch import save_model
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from confidistill.distillation.averaging import averaged
from confidistill.files import atomic_file, atomic_folder

POINT = 0.01
Row = dict[str, float]
Keep = Literal["metric", "sigma"]


@dataclass(frozen=True)
class Stop:
    """When training ends before its last epoch; sigma is that on the training set."""

    sigma: float | None = None
    """Once an epoch whose metric is within the guard has no more than this."""
    patience: int | None = None
    """Once so many epochs have not brought sigma below its least."""


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
    stop: Stop | None = None
    """None: never before the last epoch."""


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


def stops(rows: Sequence[Row], metric: str, guard: float, stop: Stop) -> bool:
    """Whether training ends with the last of the rows, of all epochs so far; each has `sigma`."""
    last, sigmas = rows[-1], [row["sigma"] for row in rows]
    guarded = last[metric] >= max(row[metric] for row in rows) - guard
    small = stop.sigma is not None and guarded and last["sigma"] <= stop.sigma
    waited = len(rows) - 1 - sigmas.index(min(sigmas))
    return small or (stop.patience is not None and waited >= stop.patience)


class KeepBest(TrainerCallback):
    """Evaluate after the last step of an epoch, before a checkpoint of that step is written, keep the best weights, and
    end training where the selection says so.

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
        if state.global_step % self.steps_per_epoch:
            return
        if self.writes:
            self._measure(kwargs["model"], state.global_step)
        if self.selection.stop:
            ended = [self.ended_at == state.global_step]
            broadcast_object_list(ended)  # what was measured is the writer's
            if ended[0]:
                control.should_training_stop = control.should_log = control.should_save = True

    @property
    def ended_at(self) -> int | None:
        """The step after which training ended before its time; None: it has not."""
        chosen, rows = self.selection, self.history()
        if not chosen.stop or not rows or not stops(rows, chosen.metric, chosen.guard, chosen.stop):
            return None
        return int(rows[-1]["step"])

    def _measure(self, model: nn.Module, step: int) -> None:
        chosen = self.selection
        with averaged(model, self.folder.with_name("epochs"), step, chosen.average):
            model.eval()
            row = {"step": step} | chosen.measure(model)
            model.train()
            history = [*(earlier for earlier in self.history() if earlier["step"] < step), row]
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
