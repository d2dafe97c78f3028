"""The student: an encoder and one linear projection from its width to the teacher's."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from confidistill.architectures import architecture_of
from confidistill.architectures.architecture import part, reshaped
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
    """An encoder and the projection (H_S -> H_T) of all its hidden states: `fit_dense`."""

    def __init__(self, encoder: PreTrainedModel, teacher_width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Linear(encoder.config.hidden_size, teacher_width)

    def forward(self, **inputs: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Hidden states in the teacher's width, L + 1 of (B, T, H_T), and scores, L of (B, h, T, T)."""
        features = forward(self.encoder, **inputs)
        return tuple(self.projection(hidden) for hidden in features.hidden_states), features.scores


def build_student(
    teacher: PreTrainedModel, shape: StudentShape, *, initialisation: Initialisation, layer_map: LayerMap, seed: int
) -> Student:
    """A new student of `shape` for `teacher`.

    `random`: the family's own initialisation, as TinyBERT. `teacher`: embeddings and, where every width agrees, the
    layers that the map names, with the identity as projection; where the hidden size is smaller, the embeddings are
    projected on their H_S principal components, V: (H_T, H_S), and the projection starts as V, back to the teacher's
    space.

    Raises:
        UserError: the numbers of heads differ, so that attention cannot be compared head by head; the student is
            wider than the teacher and asked to start from it.
    """
    set_seed(seed)
    student = new_student(teacher.config, shape)
    if initialisation == "teacher":
        with torch.no_grad():
            _start_from_teacher(student, teacher, layer_map)
    return student


def new_student(teacher: PretrainedConfig, shape: StudentShape) -> Student:
    """A student of `shape`, at random, for a teacher of that configuration; of the teacher's family.

    Raises:
        UserError: the family is not supported, or the numbers of heads differ.
    """
    architecture_of(teacher)
    check_heads(teacher.num_attention_heads, shape.attention_heads)
    return Student(AutoModel.from_config(reshaped(teacher, **asdict(shape))), teacher.hidden_size)


def _start_from_teacher(student: Student, teacher: PreTrainedModel, layer_map: LayerMap) -> None:
    own, width = student.encoder, teacher.config.hidden_size
    architecture = architecture_of(teacher.config)
    own_embeddings, embeddings = part(own, architecture.embeddings), part(teacher, architecture.embeddings)
    if own.config.hidden_size > width:
        raise UserError(
            f"hidden_size {own.config.hidden_size} exceeds the teacher's {width}: use initialisation random"
        )
    if own.config.hidden_size == width:
        own_embeddings.load_state_dict(embeddings.state_dict())
        if own.config.intermediate_size == teacher.config.intermediate_size:
            layers = part(teacher, architecture.layers)
            for layer, source in zip(part(own, architecture.layers), layer_map.attention, strict=True):
                layer.load_state_dict(layers[source].state_dict())
            pooler, own_pooler = part(teacher, architecture.pooler), part(own, architecture.pooler)
            if pooler is not None and own_pooler is not None:
                own_pooler.load_state_dict(pooler.state_dict())
        basis = torch.eye(width)
    else:
        tables = {name: getattr(embeddings, name).weight for name in architecture.embedding_tables}
        basis = principal_components(tables[architecture.embedding_tables[0]], own.config.hidden_size)  # (H_T, H_S)
        for name, weight in tables.items():
            getattr(own_embeddings, name).weight.copy_(weight @ basis)
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
    encoder = AutoModel.from_pretrained(folder, use_safetensors=True)
    student = Student(encoder, projection["weight"].shape[0])
    student.projection.load_state_dict(projection)
    return student
