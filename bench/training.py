"""Examples a second and peak memory of both distillation stages, on random weights of the paper's shapes.

    python -m bench.training --student S_6L --batch 32 --length 128
    python -m bench.training --search            every student and stage, growing batches until memory or speed ends

Each measurement is the pipeline's own training loop on random tokens, all of the full length: loading of batches, the
teacher's forward pass in stage 1, the step of the optimiser. Writing of checkpoints is left out, which the authors'
figures include (V100 16 GB, fp32, batch 32, length 128).
"""

import argparse
import gc
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

STUDENTS = {  # teacher's (layers, width, inner width), the student's; 12 heads all
    "S_6L": ((12, 768, 3072), (6, 768, 3072)),
    "S_4L": ((12, 768, 3072), (4, 312, 1200)),
    "S_3L": ((6, 384, 1536), (3, 384, 1536)),
    "S_2L": ((6, 384, 1536), (2, 156, 600)),
}
V100 = {("S_6L", 1): "196", ("S_6L", 2): "215-221", ("S_4L", 1): "376", ("S_4L", 2): "336-404"}
V100_MEMORY = 16  # GiB
WARM_UP = 3  # steps that are not counted
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Measurement:
    """Speed of one stage at one batch size, and the memory it took: of the GPU, or of this process."""

    examples_per_second: float
    peak_gib: float


def measure(student: str, stage: int, *, batch: int, length: int, steps: int, precision: Precision) -> Measurement:
    """Train for `steps` steps after the warm-up."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    from confidistill.architectures.architecture import BATCH_INPUTS
    from confidistill.distillation.arguments import Training
    from confidistill.distillation.data import Batch, Example, Sequences
    from confidistill.distillation.features import feature_loss
    from confidistill.distillation.layers import uniform_layer_map
    from confidistill.distillation.student import StudentShape, build_student
    from confidistill.distillation.terms import prediction_loss
    from confidistill.distillation.trainer import Loss
    from confidistill.distillation.training import fit

    class Targets(Sequences):
        """Tokens with a label and logits, as stage 2 needs."""

        def __getitem__(self, index: int) -> Example:
            return super().__getitem__(index) | {"labels": np.int64(0), "teacher_logits": np.array([1, -1], np.float32)}

    def logits_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        inputs = {key: batch[key] for key in BATCH_INPUTS}
        return prediction_loss(model(**inputs).logits, batch["teacher_logits"], batch["labels"])

    def configuration(layers: int, width: int, inner: int) -> BertConfig:
        return BertConfig(num_hidden_layers=layers, hidden_size=width, intermediate_size=inner)

    large, small = STUDENTS[student]
    tokens = np.random.default_rng(0).integers(1000, 30000, ((steps + WARM_UP) * batch, length), dtype=np.int32)
    model: torch.nn.Module
    if stage == 1:
        teacher, layers = BertModel(configuration(*large)), uniform_layer_map(large[0], small[0])
        model = build_student(teacher, StudentShape(*small, 12), initialisation="random", layer_map=layers, seed=0)
        loss = feature_loss(teacher, model, layers, "ignore")
    else:
        model, loss = BertForSequenceClassification(configuration(*small)), logits_loss

    starts: list[float] = []

    def timed(loss: Loss) -> Loss:
        def step(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            starts.append(time.perf_counter())
            return loss(model, batch)

        return step

    training = Training(
        epochs=1, batch_size=batch, learning_rate=5e-5, weight_decay=1e-4, warmup_ratio=0.1, schedule="linear",
        precision=precision, seed=0, checkpoint_steps=10 * (steps + WARM_UP), micro_batch_size=batch,
    )  # fmt: skip
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        data = Sequences(tokens) if stage == 1 else Targets(tokens)
        fit(
            model, data, loss=timed(loss), training=training, pad_token_id=0, checkpoints=Path(folder) / "run",
            inputs="bench",
        )  # fmt: skip
    peak = (
        torch.cuda.max_memory_reserved()
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    counted = starts[WARM_UP:]
    return Measurement((len(counted) - 1) * batch / (counted[-1] - counted[0]), peak / 2**30)


def report(
    student: str, stage: int, *, batch: int, length: int, steps: int, precision: Precision
) -> Measurement | None:
    """Measure and print one line; None where the GPU's memory does not suffice."""
    import torch

    from confidistill.errors import UserError

    try:
        found = measure(student, stage, batch=batch, length=length, steps=steps, precision=precision)
    except UserError:
        print(f"{student:>7} {stage:>5} {batch:>6}   out of memory", flush=True)
        return None
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    comparable = (batch, length, precision) == (32, 128, "fp32")
    authors = V100.get((student, stage), "") if comparable else ""
    fits = "yes" if found.peak_gib <= V100_MEMORY else "no"
    print(
        f"{student:>7} {stage:>5} {batch:>6} {found.examples_per_second:>11.1f} {found.peak_gib:>9.2f} {fits:>8} "
        f"{authors:>13}",
        flush=True,
    )
    return found


def search(student: str, stage: int, *, batch: int, length: int, steps: int, precision: Precision) -> None:
    """Double the batch until memory ends or the speed no longer grows by 2 %; name the best."""
    best = (0.0, 0)
    while found := report(student, stage, batch=batch, length=length, steps=steps, precision=precision):
        if found.examples_per_second < 1.02 * best[0]:
            break
        best = max(best, (found.examples_per_second, batch))
        batch *= 2
    if best[1]:
        print(f"{student:>7} {stage:>5}   best batch {best[1]}: {best[0]:.1f} examples/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=STUDENTS, action="append", help="default: S_6L and S_4L")
    parser.add_argument("--batch", type=int, default=32, help="examples of a step; the smallest one of --search")
    parser.add_argument("--length", type=int, default=128, help="tokens of an example")
    parser.add_argument("--steps", type=int, default=20, help="steps that are counted, at least 2")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    parser.add_argument("--search", action="store_true", help="find the best batch of each")
    options = parser.parse_args()
    if options.steps < 2:
        parser.error("--steps must be at least 2")
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU is visible to torch here")
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}; length {options.length}, {options.precision}, {options.steps} steps; authors: V100 16 GB\n")
    header = f"{'student':>7} {'stage':>5} {'batch':>6} {'examples/s':>11} {'peak GiB':>9}"
    print(f"{header} {f'<={V100_MEMORY} GiB':>8} {'authors':>13}", flush=True)
    settings = {"length": options.length, "steps": options.steps, "precision": options.precision}
    for student in options.student or ["S_6L", "S_4L"]:
        for stage in (1, 2):
            (search if options.search else report)(student, stage, batch=options.batch, **settings)


if __name__ == "__main__":
    main()
