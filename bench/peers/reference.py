"""Distillation in the reference's way, TinyBERT's task_distill.py, with the same models.

Every text padded to 128 tokens, the teacher run for every batch of both stages and asked for all its features, scores
and hidden states, the plain loop of AdamW, the loss read after each step, the weights written at the end.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from bench.models import DEVICE, classifier, intermediate
from bench.peers.job import BATCH, CLIP, DECAY, LENGTH, RATE, Job
from confidistill.architectures.architecture import BATCH_INPUTS
from confidistill.distillation.data import Batch, Example, Examples, collator
from confidistill.distillation.scores import capture_scores, forward


def prepared(job: Job) -> Callable[[Path], None]:
    """Build the models; the function, which is timed, trains and writes into a folder."""
    teacher = classifier(job.teacher).eval().to(DEVICE)
    model: Any
    if job.stage == 1:
        model, loss = intermediate(teacher, job.shape, padding="reference")
        model.to(DEVICE)
    else:
        model = classifier(job.shape).to(DEVICE)
        for one in (teacher, model):
            capture_scores(one)

        def loss(model: Any, batch: Batch) -> torch.Tensor:
            with torch.no_grad():
                target = forward(teacher, **batch).logits
            logits = forward(model, **batch).logits
            assert target is not None and logits is not None
            return -(target.softmax(-1) * logits.log_softmax(-1)).mean()

    def run(folder: Path) -> None:
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
        model.train()
        for _ in range(job.epochs):
            for batch in padded(job.examples, job.seed):
                step = loss(model, batch)
                step.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimiser.step()
                optimiser.zero_grad()
                step.item()
        torch.save(model.state_dict(), folder / "model.bin")

    return run


def padded(examples: Examples, seed: int) -> Iterator[Batch]:
    """Batches in random order, every text padded to 128 tokens, of the models' inputs alone."""
    generator = torch.Generator().manual_seed(seed)
    yield from DataLoader(examples, BATCH, shuffle=True, generator=generator, collate_fn=to_128)


def to_128(examples: list[Example]) -> Batch:
    """input_ids, attention_mask and token_type_ids, each (B, 128)."""
    batch = collator(0)(examples)
    padded = {name: functional.pad(batch[name], (0, LENGTH - batch[name].shape[1])) for name in BATCH_INPUTS}
    return {name: tensor.to(DEVICE) for name, tensor in padded.items()}
