"""Sizes of the models that are measured."""

from typing import NamedTuple


class Shape(NamedTuple):
    """An encoder's sizes."""

    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int = 12


BERT_BASE = Shape(12, 768, 3072)
MINILM = Shape(6, 384, 1536)
STUDENTS = {  # the teacher's shape, the student's
    "S_6L": (BERT_BASE, Shape(6, 768, 3072)),
    "S_4L": (BERT_BASE, Shape(4, 312, 1200)),
    "S_3L": (MINILM, Shape(3, 384, 1536)),
    "S_2L": (MINILM, Shape(2, 156, 600)),
}
