"""What a model must be to be distilled from, and a student to be its student: told by their configs alone."""

from confidistill.errors import UserError

FAMILIES = ("bert",)


def check_family(model_type: str) -> None:
    """Raise a UserError unless models of this `model_type` of config.json can be distilled."""
    if model_type not in FAMILIES:
        supported = " or ".join(map(repr, FAMILIES))
        raise UserError(f"a {model_type!r} model cannot be distilled: only model_type {supported} is supported")


def check_heads(teacher: int, student: int) -> None:
    """Raise a UserError unless teacher and student have the same number of attention heads."""
    if teacher != student:
        raise UserError(
            f"the student has {student} attention heads, the teacher {teacher}: attention is compared head by head, "
            "so set attention_heads to the teacher's"
        )
