"""Dropout on a processor, for which torch draws a random number for each element, with one thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from confidistill.distillation.precision import Precision, half_on_processor

STEPS = 1 << 16
"""A rate is a multiple of 1 / STEPS: 16 random bits decide on an element."""


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.dropout` with other draws of torch's generator: each 64-bit number decides on four elements.

    An element is 0 with probability p, to the nearest 1 / STEPS, and else divided by the probability that it is not, so
    that its expectation stays (Srivastava et al. 2014). input: any shape, floating; not written to, whatever `inplace`.
    """
    dropped = round(p * STEPS)
    if not training or not dropped:
        return input
    if dropped == STEPS:
        return input * 0.0
    numbers = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    drawn = numbers.view(torch.int16)[: input.numel()].view(input.shape)  # -STEPS / 2 ... STEPS / 2 - 1
    return input * (drawn >= dropped - STEPS // 2).to(input.dtype).mul_(STEPS / (STEPS - dropped))


@contextmanager
def trained_dropout(precision: Precision) -> Iterator[None]:
    """Within the block every dropout of a model is `dropout` where it is trained on a processor in half precision.

    There it is up to a third of a step. In fp32, which is the reference's numbers to the draw, and on a GPU torch's
    own stays. The block should hold no more than the forward pass, as every call of torch in it is looked at.
    """
    with _Redirected() if half_on_processor(precision) else nullcontext():
        yield


class _Redirected(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return (dropout if func is nn.functional.dropout else func)(*args, **(kwargs or {}))
