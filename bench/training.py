"""Examples a second and peak memory of both distillation stages, on random weights of the paper's shapes.

    python -m bench.training --student S_6L --batch 32 --length 128
    python -m bench.training --search            every student and stage, growing batches until memory or speed ends
    python -m bench.training --precision bf16 --compile

Each measurement is the pipeline's own training loop on random texts, all of the full length: loading of batches, the
teacher's forward pass in stage 1, the step of the optimiser. Writing of checkpoints is left out, which the authors'
figures include (V100 16 GB, fp32, batch 32, length 128; the slower of two). On a CPU the peak memory is the process's.
Beside the largest matrix multiply of the same dtype stand the step's matrix multiplies, in FLOP/s. With --compile,
which the pipeline does not do, both models go through torch.compile; the warm-up has the compilation in it.
"""

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.options import parser
from bench.processes import own_peak_mib
from bench.results import Report
from bench.shapes import STUDENTS
from bench.timing import now
from confidistill.errors import UserError, exits_cleanly

V100 = {("S_6L", 1): 196, ("S_6L", 2): 215, ("S_4L", 1): 376, ("S_4L", 2): 336}  # examples/s
WARM_UP = 3  # steps that are not counted


@dataclass(frozen=True)
class Measurement:
    """Speed of one stage at one batch size, and the memory it took: of the GPU, or of this process."""

    examples_per_second: float
    peak_gib: float


def measure(student: str, stage: int, *, batch: int, steps: int, **settings: Any) -> Measurement:
    """Train for `steps` steps after the warm-up."""
    import torch

    from bench.loop import train

    starts: list[float] = []
    gc.collect()
    torch.cuda.empty_cache()  # what ran before must not count
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    train(student, stage, batch=batch, steps=steps + WARM_UP, at_step=lambda: starts.append(now()), **settings)
    peak = torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_available() else own_peak_mib()
    counted = starts[WARM_UP:]
    return Measurement((len(counted) - 1) * batch / (counted[-1] - counted[0]), peak / 1024)


def report(
    found: Report, student: str, stage: int, *, batch: int, peak: float, compiled: bool = False, **settings: Any
) -> Measurement | None:
    """Measure, with a row each for speed, for memory and for FLOP/s beside `peak`; None where the GPU's memory does not
    suffice."""
    from bench.rates import flops

    what = f"{student}, stage {stage}, batch {batch}"
    try:
        measured = measure(student, stage, batch=batch, compiled=compiled, **settings)
    except UserError:
        print(f"{what}: out of memory", flush=True)
        return None
    authors = V100.get((student, stage))
    if authors and (batch, settings["length"], settings["precision"]) == (32, 128, "fp32"):
        found.beside(what, measured.examples_per_second, "examples/s", "the authors' V100", authors)
    else:
        found.figure(what, measured.examples_per_second, "examples/s")
    found.figure(f"{what}: memory", measured.peak_gib, "GiB")
    reached = flops(student, stage, batch=1, length=settings["length"]) * measured.examples_per_second / 1e9
    found.beside(f"{what}: rate", reached, "GFLOP/s", "the largest matrix multiply", peak / 1e9)
    return measured


def search(found: Report, student: str, stage: int, *, batch: int, **settings: Any) -> None:
    """Double the batch until memory ends or the speed no longer grows by 2 %."""
    best = 0.0
    while measured := report(found, student, stage, batch=batch, **settings):
        if measured.examples_per_second < 1.02 * best:
            break
        best = max(best, measured.examples_per_second)
        batch *= 2


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--student", choices=STUDENTS, action="append", help="default: S_6L and S_4L")
    options.add_argument("--batch", type=int, default=32, help="examples of a step; the smallest one of --search")
    options.add_argument("--length", type=int, default=128, help="tokens of an example")
    options.add_argument("--steps", type=int, default=20, help="steps that are counted, at least 2")
    options.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    options.add_argument("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    options.add_argument("--compile", action="store_true", help="teacher and student by torch.compile")
    options.add_argument("--search", action="store_true", help="find the best batch of each")
    asked = options.parse_args(arguments)
    if asked.steps < 2:
        options.error("--steps must be at least 2")
    if asked.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        options.error("no GPU is visible to torch here")
    from bench.rates import DTYPES, peak_rate

    settings = {
        "length": asked.length, "steps": asked.steps, "precision": asked.precision, "compiled": asked.compile,
        "peak": peak_rate(DTYPES[asked.precision]),
    }  # fmt: skip
    found = Report(
        "training", dtype=asked.precision, seed=0, length=asked.length, steps=asked.steps, compiled=asked.compile
    )
    for student in asked.student or ["S_6L", "S_4L"]:
        for stage in (1, 2):
            (search if asked.search else report)(found, student, stage, batch=asked.batch, **settings)
    found.write()


if __name__ == "__main__":
    main()
