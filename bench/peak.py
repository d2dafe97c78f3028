"""FLOP/s of a training step of both stages over the measured peak of a matrix multiply, and where the rest goes.

    python -m bench.peak [--student S_3L ...] [--length 16 --length 64 ...] [--batch 32] [--steps 20] [--top 8]

The step is the pipeline's own loop on random texts of one length; its FLOPs are those of its matrix multiplies,
forward and backward, the teacher's in stage 1 included, counted by torch's FlopCounterMode with attention computed
plainly. The peak is the best square multiply in the same dtype and threads; beside it, as `of the layers`, the mean of
those of a MiniLM layer's own shapes at that many tokens, which is what a step could reach if all else were free. The
profile is torch's: operations by their share of self CPU time.
"""

from collections.abc import Sequence
from typing import Any

from torch.profiler import ProfilerActivity, profile, schedule

from bench.loop import train
from bench.options import parser
from bench.rates import DTYPES, flops, layer_rate, peak_rate
from bench.results import Report
from bench.shapes import STUDENTS
from bench.training import measure
from confidistill.errors import exits_cleanly


def operations(student: str, stage: int, *, steps: int, top: int, **settings: Any) -> list[dict[str, Any]]:
    """The operations of the most self CPU time: name, calls a step, share."""
    when = schedule(wait=2, warmup=1, active=steps, repeat=1)
    with profile(activities=[ProfilerActivity.CPU], schedule=when) as profiler:
        train(student, stage, steps=steps + 3, at_step=profiler.step, **settings)
    averages = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in averages)
    largest = sorted(averages, key=lambda event: -event.self_cpu_time_total)[:top]
    return [
        {"operation": event.key, "calls": event.count / steps, "share": event.self_cpu_time_total / total}
        for event in largest
    ]


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--student", choices=STUDENTS, action="append", help="default: S_3L and S_2L")
    options.add_argument("--length", type=int, action="append", help="tokens of a text; default: 16, 64 and 128")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options.add_argument("--top", type=int, default=8, help="operations of the profile")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(arguments)
    dtype = DTYPES[asked.precision]
    report = Report("peak", dtype=asked.precision, seed=asked.seed, batch=asked.batch, steps=asked.steps)
    profiles = {}
    for length in asked.length or [16, 64, 128]:
        peak = peak_rate(dtype) / 1e9
        settings = {"batch": asked.batch, "length": length, "precision": asked.precision, "seed": asked.seed}
        for student in asked.student or ["S_3L", "S_2L"]:
            of_layers = layer_rate(asked.batch * length, STUDENTS[student][1], dtype) / 1e9
            report.beside(
                f"{student}'s layers, {length} tokens", of_layers, "GFLOP/s", "the largest matrix multiply", peak
            )
            for stage in (1, 2):
                what = f"{student}, stage {stage}, {length} tokens"
                work = flops(student, stage, **settings) / asked.batch
                speed = measure(student, stage, steps=asked.steps, **settings).examples_per_second
                reached = work * speed / 1e9
                report.beside(what, reached, "GFLOP/s", "the largest matrix multiply", peak)
                profiles[what] = operations(student, stage, steps=asked.steps, top=asked.top, **settings)
    for what, largest in profiles.items():
        print(f"\n{what}: share of self CPU time, calls a step")
        for each in largest:
            print(f"  {each['share']:6.1%}  {each['calls']:6.1f}  {each['operation']}")
    report.write(operations=profiles)


if __name__ == "__main__":
    main()
