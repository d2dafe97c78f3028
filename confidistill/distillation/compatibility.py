"""What a student must be to be its teacher's: told by their configurations alone."""

from confidistill.errors import UserError


def check_heads(teacher: int, student: int) -> None:
    """Raise a UserError unless teacher and student have the same number of attention heads."""
    if teacher != student:
        raise UserError(
            f"the student has {student} attention heads, the teacher {teacher}: attention is compared head by head, "
            "so set attention_heads to the teacher's"
        )
