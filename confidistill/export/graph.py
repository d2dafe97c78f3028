"""A Hugging Face classifier as one ONNX graph, by torch's own exporter."""

import logging
import warnings
from typing import Any

import onnx
import torch
from torch import nn
from transformers import PreTrainedModel

from confidistill.architectures.architecture import model_inputs

AXES = {0: "batch", 1: "tokens"}


class _Logits(nn.Module):
    """The model as a function of tensors, in the order of `names`."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.names, tensors, strict=True))).logits
        return logits


def onnx_graph(model: PreTrainedModel) -> onnx.ModelProto:
    """The graph of a classifier in evaluation mode: the token tensors that it takes, (B, T) int64, -> logits (B, C).

    Where a node came from (lines of code, paths of this machine) is left out, so that the same weights are the same
    bytes.
    """
    names = model_inputs(model)
    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in names)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it names each optional package that is not there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Logits(model.cpu().eval(), names).eval(),
                example,
                dynamo=True,
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=(tuple(AXES for _ in names),),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    _without_origins(graph.graph)
    return graph


def _without_origins(graph: Any) -> None:
    """Remove, in place, what says how and where the graph was made."""
    graph.ClearField("metadata_props")
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _without_origins(attribute.g)
