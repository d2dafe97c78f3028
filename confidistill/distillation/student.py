"""The student: a BERT encoder and one linear projection from its width to the teacher's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase, set_seed

from confidistill.distillation.compatibility import check_heads
from confidistill.distillation.layers import LayerMap
from confidistill.distillation.scores import forward
from confidistill.errors import UserError
from confidistill.files import atomic_folder

PROJECTION = "projection.safetensors"
Initialisation = Literal["random", "teacher"]


@dataclass(frozen=True)
class StudentShape:
    """The student's depth and widths."""

    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int


class Student(nn.Module):
    """An encoder (BertModel) and the projection (H_S -> H_T) of all its hidden states: `fit_dense`."""

    def __init__(self, encoder: BertModel, teacher_width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Linear(encoder.config.hidden_size, teacher_width)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Hidden states in the teacher's width, L + 1 of (B, T, H_T), and scores, L of (B, h, T, T)."""
        features = forward(self.encoder, input_ids, attention_mask, token_type_ids)
        return tuple(self.projection(hidden) for hidden in features.hidden_states), features.scores


def build_student(
    teacher: BertModel, shape: StudentShape, *, initialisation: Initialisation, layer_map: LayerMap, seed: int
) -> Student:
    """A new student of `shape` for `teacher`.

    `random`: BERT's own initialisation, as TinyBERT. `teacher`: embeddings and, where every width agrees, the layers
    that the map names, with the identity as projection; where the hidden size is smaller, the embeddings are projected
    on their H_S principal components, V: (H_T, H_S), and the projection starts as V, back to the teacher's space.

    Raises:
        UserError: the numbers of heads differ, so that attention cannot be compared head by head; the student is
            wider than the teacher and asked to start from it.
    """
    check_heads(teacher.config.num_attention_heads, shape.attention_heads)
    config = BertConfig(**teacher.config.to_dict())
    config.num_hidden_layers = shape.layers
    config.hidden_size = shape.hidden_size
    config.intermediate_size = shape.intermediate_size
    config.num_attention_heads = shape.attention_heads
    set_seed(seed)
    student = Student(BertModel(config), teacher.config.hidden_size)
    if initialisation == "teacher":
        with torch.no_grad():
            _start_from_teacher(student, teacher, layer_map)
    return student


def _start_from_teacher(student: Student, teacher: BertModel, layer_map: LayerMap) -> None:
    own, width = student.encoder, teacher.config.hidden_size
    if own.config.hidden_size > width:
        raise UserError(
            f"hidden_size {own.config.hidden_size} exceeds the teacher's {width}: use initialisation random"
        )
    if own.config.hidden_size == width:
        own.embeddings.load_state_dict(teacher.embeddings.state_dict())
        if own.config.intermediate_size == teacher.config.intermediate_size:
            for layer, source in zip(own.encoder.layer, layer_map.attention, strict=True):
                layer.load_state_dict(teacher.encoder.layer[source].state_dict())
            assert own.pooler is not None and teacher.pooler is not None
            own.pooler.load_state_dict(teacher.pooler.state_dict())
        basis = torch.eye(width)
    else:
        basis = principal_components(teacher.embeddings.word_embeddings.weight, own.config.hidden_size)  # (H_T, H_S)
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            getattr(own.embeddings, name).weight.copy_(getattr(teacher.embeddings, name).weight @ basis)
    student.projection.weight.copy_(basis)  # (H_T, H_S)
    student.projection.bias.zero_()


def principal_components(rows: Tensor, components: int) -> Tensor:
    """The orthonormal directions of largest variance. rows: (N, H). Returns (H, components)."""
    centred = (rows - rows.mean(0)).double()
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    vectors = vectors.flip(1)[:, :components]
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return (vectors * signs).float()


def write_student(
    student: Student,
    tokenizer: PreTrainedTokenizerBase,
    output: Path,
    *,
    history: Sequence[dict[str, Any]] = (),
) -> None:
    """Write a Hugging Face folder of the encoder with the tokenizer, the projection and the training history."""
    student.encoder.set_attn_implementation("sdpa")
    with atomic_folder(output) as folder:
        student.encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        state = {name: tensor.cpu().contiguous() for name, tensor in student.projection.state_dict().items()}
        save_file(state, folder / PROJECTION)
        (folder / "history.json").write_text(json.dumps(list(history), indent=1) + "\n")


def load_student(folder: Path) -> Student:
    """Read what `write_student` wrote.

    Raises:
        UserError: the folder holds no student.
    """
    path = Path(folder) / PROJECTION
    if not path.exists():
        raise UserError(f"{path}: no such file: {folder} is not a general or intermediate student")
    projection = load_file(path)
    encoder = BertModel.from_pretrained(folder, use_safetensors=True)
    student = Student(encoder, projection["weight"].shape[0])
    student.projection.load_state_dict(projection)
    return student
