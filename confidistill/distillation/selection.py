"""Which epoch's weights are kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_model
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from confidistill.files import atomic_file, atomic_folder


@dataclass(frozen=True)
class Selection:
    """Keep the weights of the epoch with the best dev metric."""

    metric: str
    evaluate: Callable[[nn.Module], float]


class KeepBest(TrainerCallback):
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
