"""What a student must be to be its teacher's: told by their configurations alone."""

from confidistill.architectures.architecture import Architecture
from confidistill.errors import UserError


def check_heads(teacher: int, student: int) -> None:
    """Raise a UserError unless teacher and student have the same number of attention heads."""
    if teacher != student:
        raise UserError(
            f"the student has {student} attention heads, the teacher {teacher}: attention is compared head by head, "
            "so set attention_heads to the teacher's"
        )


def check_width(architecture: Architecture, teacher: int, student: int) -> None:
    """Raise a UserError if a student of the family cannot have that hidden size."""
    if not architecture.narrower and student != teacher:
        raise UserError(
            f"hidden_size {student} is not the teacher's {teacher}: the widths inside a {architecture.model_type} hang "
            "together: set hidden_size to the teacher's"
        )
