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
from confidistill.architectures.architecture import Architecture, own_storage, part, reshaped
from confidistill.distillation.compatibility import check_heads, check_width
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

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.set_input_embeddings(value)

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
    student = new_student(teacher.config, shape, layer_map.attention)
    if initialisation == "teacher":
        with torch.no_grad():
            _start_from_teacher(student, teacher, layer_map)
    return student


def new_student(teacher: PretrainedConfig, shape: StudentShape, imitated: Sequence[int] | None = None) -> Student:
    """A student of `shape`, at random, for a teacher of that configuration; of the teacher's family.

    Args:
        imitated: the teacher's layers whose windows the student's have; None: the first ones.

    Raises:
        UserError: the family is not supported, or the numbers of heads differ.
    """
    architecture = architecture_of(teacher)
    check_heads(teacher.num_attention_heads, shape.attention_heads)
    check_width(architecture, teacher.hidden_size, shape.hidden_size)
    config = reshaped(architecture, teacher, **asdict(shape), imitated=imitated)
    return Student(AutoModel.from_config(config), teacher.hidden_size)


def _start_from_teacher(student: Student, teacher: PreTrainedModel, layer_map: LayerMap) -> None:
    own, width = student.encoder, teacher.config.hidden_size
    architecture = architecture_of(teacher.config)
    if own.config.hidden_size > width:
        raise UserError(
            f"hidden_size {own.config.hidden_size} exceeds the teacher's {width}: use initialisation random"
        )
    if own.config.hidden_size == width:
        state = teacher.state_dict()
        if architecture.size(own.config, "intermediate_size") == architecture.size(teacher.config, "intermediate_size"):
            taken = {key: architecture.own_key(key, layer_map.attention) for key in own.state_dict()}
        else:
            inside = tuple(f"{path}." for path in architecture.embeddings)
            taken = {key: key for key in own.state_dict() if key.startswith(inside)}
        # A student's layer may have a norm that the teacher's lacks: ModernBERT's first layer has one less. What no
        # head uses may be of another size for another number of layers: ESM's contacts.
        own_state, unused = own.state_dict(), tuple(f"{path}." for path in architecture.unused)
        for key, other in taken.items():
            if other in state and not (key.startswith(unused) and own_state[key].shape != state[other].shape):
                own_state[key] = state[other]
        own.load_state_dict(own_state)
        basis = torch.eye(width)
    else:
        basis = _start_narrower(own, teacher, architecture)
    student.projection.weight.copy_(basis)  # (H_T, H_S)
    student.projection.bias.zero_()


def _start_narrower(own: PreTrainedModel, teacher: PreTrainedModel, architecture: Architecture) -> Tensor:
    """Give `own` the teacher's embeddings on their principal components, and return these, (H_T, H_S)."""
    tables = {path: table.weight for path in architecture.tables if (table := part(teacher, path)) is not None}
    vocabulary = tables[architecture.tables[0]]
    projection = part(teacher, architecture.projection) if architecture.projection else None
    turned = vocabulary if projection is None else vocabulary @ projection.weight.T  # (N, H_T)
    basis = principal_components(turned, own.config.hidden_size)
    onto = basis if projection is None else projection.weight.T @ basis  # (E, H_S)
    own_projection = part(own, architecture.projection) if architecture.projection else None
    if own_projection is None:
        for path, weight in tables.items():
            part(own, path).weight.copy_(weight @ onto)
        return basis
    own_projection.weight.copy_(onto.T)
    if projection is not None and projection.bias is not None:
        own_projection.bias.copy_(projection.bias @ basis)
    state, inside = teacher.state_dict(), tuple(f"{path}." for path in architecture.embeddings)
    kept = {
        key: state[key]
        for key, tensor in own.state_dict().items()
        if key.startswith(inside) and not key.startswith(f"{architecture.projection}.")
        if tensor.shape == state[key].shape
    }
    own.load_state_dict(kept, strict=False)
    return basis


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
    if architecture_of(student.encoder.config).scores:
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
    own_storage(encoder)
    student = Student(encoder, projection["weight"].shape[0])
    student.projection.load_state_dict(projection)
    return student
