"""The multiply-adds of an encoder, and how many of them a second this machine makes.

A BERT of L layers, hidden size H and feed-forward size F takes L · (4·H² + 2·H·F + 2·T·H) of them a token at length T;
a backward pass takes twice a forward pass.
"""

import math
import time
from dataclasses import dataclass, replace
from functools import cache

from confidistill.imports import importing

BATCH = 32
MEASURED_FOR = 0.2  # seconds


@dataclass(frozen=True)
class Shape:
    """An encoder: layers, hidden size, feed-forward size, attention heads."""

    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int

    def forward(self, tokens: int) -> float:
        """Multiply-adds of one forward pass over a text of `tokens` tokens."""
        a_token = 4 * self.hidden_size**2 + 2 * self.hidden_size * (self.intermediate_size + tokens)
        return float(self.layers * a_token * tokens)

    def training(self, tokens: int) -> float:
        """Multiply-adds of a forward and a backward pass."""
        return 3 * self.forward(tokens)


def measured_rate(shape: Shape, tokens: int) -> float:
    """Multiply-adds a second of training steps in fp32 on texts of `tokens` tokens, on the GPU, or else the processor.

    Measured on one layer, forward and backward, in batches of 32: the best within `MEASURED_FOR`.
    """
    return _rate(replace(shape, layers=1), tokens)


@cache
def _rate(layer: Shape, tokens: int) -> float:
    with importing():
        import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = torch.nn.TransformerEncoderLayer(
        layer.hidden_size, layer.attention_heads, layer.intermediate_size, activation="gelu", batch_first=True,
        device=device,
    )  # fmt: skip
    texts = torch.ones(BATCH, tokens, layer.hidden_size, device=device)

    def step() -> float:
        started = time.perf_counter()
        encoder(texts).sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    step()  # the first one also prepares
    best, end = math.inf, time.perf_counter() + MEASURED_FOR
    while time.perf_counter() < end:
        best = min(best, step())
    return BATCH * layer.training(tokens) / best
