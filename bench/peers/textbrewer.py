"""Distillation by TextBrewer (textbrewer 0.2.1.post1), with the same models and losses.

Its distillers take our student, projection included, and the features that our models give: stage 1 is its
GeneralDistiller with attention_mse of the scores and hidden_mse over real tokens, which differ from ours in that a mean
is over the batch's tokens rather than over each example's; stage 2 its soft cross-entropy at temperature 1. Epochs end
with its checkpoint.

`at_its_best`: our batches, padded to their longest, and stage 2 by its BasicDistiller with the teacher's logits cached.
`as_usual`: every text padded to 128 tokens, the teacher run for every batch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import textbrewer
import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.models import DEVICE, classifier, intermediate
from bench.peers.job import BATCH, CLIP, DECAY, RATE, Job
from bench.peers.reference import to_128
from confidistill.architectures.architecture import BATCH_INPUTS
from confidistill.distillation.data import Batch, BucketedBatches, Example, collator
from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.scores import Features, forward


def at_its_best(job: Job) -> Callable[[Path], None]:
    """As `reference.prepared`."""
    batches = BucketedBatches(job.examples.lengths, BATCH, job.seed)
    return _prepared(job, DataLoader(job.examples, batch_sampler=batches, collate_fn=inputs), cache=True)


def as_usual(job: Job) -> Callable[[Path], None]:
    """As `reference.prepared`."""
    return _prepared(job, DataLoader(job.examples, BATCH, shuffle=True, collate_fn=to_128), cache=False)


def _prepared(job: Job, loader: DataLoader, *, cache: bool) -> Callable[[Path], None]:
    teacher = classifier(job.teacher).to(DEVICE)
    student = (intermediate(teacher, job.shape)[0] if job.stage == 1 else classifier(job.shape)).to(DEVICE)

    def run(folder: Path) -> None:
        trainer = distiller(job, teacher, student, folder, cache=cache)
        optimiser = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY)
        with trainer:
            trainer.train(optimiser, loader, num_epochs=job.epochs, max_grad_norm=CLIP)

    return run


def distiller(job: Job, teacher: nn.Module, student: nn.Module, folder: Path, *, cache: bool) -> Any:
    """TextBrewer's distiller for the job."""
    training = textbrewer.TrainingConfig(output_dir=str(folder), device=DEVICE)
    if job.stage == 2:
        losses = textbrewer.DistillationConfig(temperature=1, is_caching_logits=cache)
        kind = textbrewer.BasicDistiller if cache else textbrewer.GeneralDistiller
        return kind(training, losses, teacher, student, logits, logits)
    layers = uniform_layer_map(job.teacher.layers, job.shape.layers)
    matches = [
        {"layer_T": j, "layer_S": i, "feature": feature, "loss": f"{feature}_mse", "weight": 1}
        for feature, mapped in (("attention", layers.attention), ("hidden", layers.hidden))
        for i, j in enumerate(mapped)
    ]
    losses = textbrewer.DistillationConfig(intermediate_matches=matches)
    return textbrewer.GeneralDistiller(training, losses, WithFeatures(teacher), student, teachers, students)


class WithFeatures(nn.Module):
    """A teacher that gives its scores and hidden states when it is called."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.base_model

    def forward(self, **inputs: torch.Tensor) -> Features:
        return forward(self.model, **inputs)


def inputs(examples: list[Example]) -> Batch:
    """Padded to the longest; the models' inputs alone."""
    batch = collator(0)(examples)
    return {name: batch[name] for name in BATCH_INPUTS}


def logits(batch: Batch, output: Any) -> dict[str, Any]:
    return {"logits": output.logits}


def teachers(batch: Batch, output: Features) -> dict[str, Any]:
    return {"hidden": output.hidden_states, "attention": output.scores, "inputs_mask": batch["attention_mask"]}


def students(batch: Batch, output: tuple[Any, Any]) -> dict[str, Any]:
    return {"hidden": output[0], "attention": output[1], "inputs_mask": batch["attention_mask"]}
