"""Models of a shape at random weights, and what both stages make of them: a student and a loss."""

from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from bench.shapes import Shape
from confidistill.architectures.architecture import BATCH_INPUTS
from confidistill.distillation.data import Batch
from confidistill.distillation.feature_cache import FeatureCache
from confidistill.distillation.features import feature_loss
from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.losses import Padding
from confidistill.distillation.student import Student, StudentShape, new_student
from confidistill.distillation.terms import prediction_loss
from confidistill.distillation.trainer import Loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # what is measured runs here


def classifier(shape: Shape, **config: Any) -> BertForSequenceClassification:
    """A BERT of two classes with BERT's vocabulary."""
    sizes: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_attention_heads": shape.attention_heads,
    }
    return BertForSequenceClassification(BertConfig(**sizes, **config))


def intermediate(
    teacher: BertForSequenceClassification,
    shape: Shape,
    padding: Padding = "ignore",
    cache: FeatureCache | None = None,
) -> tuple[Student, Loss]:
    """A student of stage 1 for `teacher`, and its loss."""
    layers = uniform_layer_map(teacher.config.num_hidden_layers, shape.layers)
    student = new_student(teacher.config, StudentShape(*shape))
    return student, feature_loss(teacher.bert, student, layers, padding, cache=cache)


def logits_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Stage 2's: soft cross-entropy with the batch's `teacher_logits`."""
    inputs = {name: batch[name] for name in BATCH_INPUTS}
    return prediction_loss(model(**inputs).logits, batch["teacher_logits"], batch["labels"])
