"""Which teacher layer each student layer learns from (TinyBERT, section 3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from confidistill.errors import UserError

Spec = Literal["uniform"] | Mapping[Literal["attention", "hidden"], Sequence[int]]


@dataclass(frozen=True)
class LayerMap:
    """`attention[i]`: the teacher layer (0-based) whose attention student layer i imitates; M entries.

    `hidden[i]`: the teacher's hidden state for the student's hidden state i; M + 1 entries, 0 is the embedding output.
    """

    attention: tuple[int, ...]
    hidden: tuple[int, ...]


def uniform_layer_map(teacher_layers: int, student_layers: int) -> LayerMap:
    """The uniform map of k = N_T / N_S: attention i from i*k + k - 1, hidden state i from i*k.

    Raises:
        UserError: the student's depth does not divide the teacher's.
    """
    if student_layers < 1 or teacher_layers % student_layers:
        raise UserError(
            f"a student of {student_layers} layers cannot be mapped uniformly onto a teacher of {teacher_layers}: "
            "the student's depth must divide the teacher's; change `layers`, or give layer_map as lists"
        )
    k = teacher_layers // student_layers
    return LayerMap(
        attention=tuple(i * k + k - 1 for i in range(student_layers)),
        hidden=tuple(i * k for i in range(student_layers + 1)),
    )


def layer_map(spec: Spec, teacher_layers: int, student_layers: int) -> LayerMap:
    """The uniform map, or the one that `spec` lists as {attention: [...], hidden: [...]}.

    Raises:
        UserError: the depth does not divide; a list is missing, has the wrong length or leaves the teacher.
    """
    if spec == "uniform":
        return uniform_layer_map(teacher_layers, student_layers)
    sizes: tuple[tuple[Literal["attention", "hidden"], int, int], ...] = (
        ("attention", student_layers, teacher_layers - 1),
        ("hidden", student_layers + 1, teacher_layers),
    )
    for name, length, last in sizes:
        chosen = spec.get(name)
        if chosen is None or len(chosen) != length or not all(0 <= layer <= last for layer in chosen):
            raise UserError(f"layer_map.{name}: needs {length} layers, each in 0..{last}, not {chosen}")
    return LayerMap(tuple(spec["attention"]), tuple(spec["hidden"]))
