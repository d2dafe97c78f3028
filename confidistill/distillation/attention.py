"""How attention is computed while a model is trained, where what transformers chooses is slow."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

from confidistill.distillation.precision import Precision, half_on_processor


@contextmanager
def trained_attention(model: nn.Module, precision: Precision) -> Iterator[None]:
    """Within the block attention is eager where the model is trained on a processor in half precision.

    Without dropout torch's fused kernel would be taken, whose backward pass there takes longer than the rest of a step;
    eager attention is the same sums, in another order. A model whose attention is not fused stays as it is.
    """
    half = half_on_processor(precision)
    if half and isinstance(model, PreTrainedModel) and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation("eager")
        try:
            yield
        finally:
            model.set_attn_implementation("sdpa")
    else:
        yield
