"""Distillation as the pipeline does it: its own loop with checkpoints, batches of like length, the teacher's features
and logits computed once for all epochs."""

from collections.abc import Callable
from pathlib import Path

from bench.models import DEVICE, classifier, intermediate, logits_loss
from bench.peers.job import BATCH, DECAY, RATE, Job
from confidistill.distillation.arguments import Training
from confidistill.distillation.feature_cache import feature_cache
from confidistill.distillation.inference import logits_of
from confidistill.distillation.training import fit

CACHE_GIB = 4.0  # as in the profiles


def prepared(job: Job) -> Callable[[Path], None]:
    """As `reference.prepared`."""
    teacher = classifier(job.teacher).to(DEVICE)
    if job.stage == 1:
        cache = feature_cache(job.examples, 0, epochs=job.epochs, gib=CACHE_GIB)
        model, loss = intermediate(teacher, job.shape, cache=cache)
    else:
        model, loss = classifier(job.shape), logits_loss
    training = Training(
        epochs=job.epochs, batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY, warmup_ratio=0.1,
        schedule="linear", precision=job.precision, seed=job.seed, checkpoint_steps=200,
    )  # fmt: skip

    def run(folder: Path) -> None:
        if job.stage == 2:
            job.examples.teacher_logits = logits_of(teacher, job.examples, pad_token_id=0)
        fit(
            model, job.examples, loss=loss, training=training, pad_token_id=0, checkpoints=folder / "run",
            inputs="bench",
        )  # fmt: skip

    return run
