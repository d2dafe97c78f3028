"""FLOP/s of matrix multiplies, on the GPU where there is one, and the FLOPs of a training step."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.loop import train
from bench.models import DEVICE
from bench.shapes import Shape
from bench.timing import now, seconds

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LEAST = 0.3  # seconds that a multiply is measured for


def multiply_rate(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    """FLOP/s of (rows, inner) @ (inner, columns), the best of the calls of some tenths of a second."""
    left, right = (torch.randn(*size, dtype=dtype, device=DEVICE) for size in ((rows, inner), (inner, columns)))
    ended, best = now() + LEAST, float("inf")
    while now() < ended or best == float("inf"):
        best = min(best, seconds(lambda: left @ right))
    return 2 * rows * inner * columns / best


def peak_rate(dtype: torch.dtype) -> float:
    """FLOP/s of the best square multiply."""
    sizes = (4096, 8192) if DEVICE == "cuda" else (512, 1024, 2048)
    return max(multiply_rate(size, size, size, dtype) for size in sizes)


def layer_rate(tokens: int, shape: Shape, dtype: torch.dtype) -> float:
    """FLOP/s of a layer's linear maps, one after the other."""
    sizes = [(shape.hidden_size, shape.hidden_size)] * 4
    sizes += [(shape.hidden_size, shape.intermediate_size), (shape.intermediate_size, shape.hidden_size)]
    rates = {size: multiply_rate(tokens, *size, dtype) for size in dict.fromkeys(sizes)}
    work = [inner * columns for inner, columns in sizes]
    return sum(work) / sum(each / rates[size] for each, size in zip(work, sizes, strict=True))


def flops(student: str, stage: int, **settings: Any) -> int:
    """Of the matrix multiplies of one step."""
    with FlopCounterMode(display=False) as counter:  # it does not know the fused attention of processors
        train(student, stage, steps=1, attn_implementation="eager", **settings)
    return counter.get_total_flops()
