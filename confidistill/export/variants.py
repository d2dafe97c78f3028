"""The forms that a student is deployed in, each a folder that is of use alone."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import onnx
from transformers import PreTrainedModel

from confidistill.architectures import architecture_in
from confidistill.classifiers.huggingface import HuggingFaceClassifier
from confidistill.errors import UserError
from confidistill.export.graph import onnx_graph
from confidistill.files import atomic_folder
from confidistill.text.tokens import load_tokenizer

Variant = Literal["onnx", "onnx-int8"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
MODEL = "model.onnx"
SAYS = {
    "onnx": "fp32, as it was trained",
    "onnx-int8": "weights in 8 bits, a scale a channel; activations are quantised as they come",
}


def variant_named(name: str) -> Variant:
    """The variant of that name.

    Raises:
        UserError: there is none.
    """
    if name not in VARIANTS:
        raise UserError(f"unknown variant {name!r}: use {' or '.join(VARIANTS)}")
    return VARIANTS[VARIANTS.index(name)]


def export(student: Path, variant: Variant, output: Path) -> None:
    """Write model.onnx, config.json (classes), the tokenizer and a card; the same student gives the same bytes.

    Raises:
        UserError: `student` is no folder of a Hugging Face classifier, or one of a family that no student is of.
    """
    classifier = HuggingFaceClassifier(student, max_length=1)
    architecture_in(student)  # for what it raises: of these it is known that the graph says the same
    model = classifier.model
    graph = onnx_graph(model)
    with atomic_folder(output) as folder:
        write_variant(graph, variant, folder / MODEL)
        model.config.save_pretrained(folder)
        load_tokenizer(student).save_pretrained(folder)
        (folder / "README.md").write_text(_card(student.name, variant, model, graph))


def write_variant(graph: onnx.ModelProto, variant: Variant, path: Path) -> None:
    """Write the graph of a classifier, as `onnx_graph` makes it, in that form."""
    if variant == "onnx-int8":
        _quantised(graph, path)
    else:
        path.write_bytes(graph.SerializeToString(deterministic=True))


def _card(name: str, variant: Variant, model: PreTrainedModel, graph: onnx.ModelProto) -> str:
    inputs = ", ".join(given.name for given in graph.graph.input)
    classes = ", ".join(map(str, (model.config.id2label or {}).values()))
    return (
        "---\nlibrary_name: onnx\npipeline_tag: text-classification\ntags: [confidistill]\n---\n\n"
        f"# {name}\n\nONNX, {SAYS[variant]}. Inputs: {inputs}, (batch, tokens) int64. Output: logits, "
        f"(batch, {model.num_labels}), of the classes {classes}. The tokenizer is in tokenizer.json.\n"
    )


def _quantised(graph: onnx.ModelProto, path: Path) -> None:
    """Write the graph with weights in 8 bits, quantised dynamically by onnxruntime.

    A scale a channel halves what the rounding does to sigma (docs/export.md). Of the 8 bits 7 are used, since the sums
    of products of 8 saturate on processors with AVX2 or AVX-512 and without VNNI: sigma is the same on both.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises to optimise the graph first, which torch's exporter has done
    try:
        with TemporaryDirectory() as scratch:
            whole = Path(scratch) / MODEL
            whole.write_bytes(graph.SerializeToString(deterministic=True))
            quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    finally:
        root.setLevel(level)
