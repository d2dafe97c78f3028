"""What a student must be to be its teacher's: told by their configurations alone."""

from pathlib import Path

from confidistill.architectures.architecture import Architecture
from confidistill.distillation.layers import Spec, layer_map
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
            f"hidden_size {student} is not the teacher's {teacher}: students of a {architecture.model_type} keep its "
            "width: set hidden_size to the teacher's"
        )


def check_precision(architecture: Architecture, precision: str) -> None:
    """Raise a UserError if models of the family do not compute in the half precision that is asked for."""
    if precision in ("bf16", "fp16") and not architecture.half:
        raise UserError(
            f"precision {precision}: a {architecture.model_type} computes in fp32 alone: set precision to auto or fp32"
        )


def why_no_features(teacher: Path, student: Path, spec: Spec) -> str | None:
    """Why hidden states of the student in one folder cannot be compared with those of the teacher in the other.

    None: they can. Features are compared token by token, so both must be of one family and read text alike; stage 2
    works on text and asks for neither.
    """
    if not (teacher / "config.json").exists():
        return "the teacher is known by its predictions alone"
    from transformers import AutoConfig

    theirs, own = (AutoConfig.from_pretrained(folder, trust_remote_code=False) for folder in (teacher, student))
    if theirs.model_type != own.model_type:
        return f"the teacher is a {theirs.model_type}, the student a {own.model_type}"
    if _tokens(teacher) != _tokens(student):
        return "teacher and student have tokenizers of their own"
    try:
        check_heads(theirs.num_attention_heads, own.num_attention_heads)
        layer_map(spec, theirs.num_hidden_layers, own.num_hidden_layers)
    except UserError as error:
        return str(error)
    return None


def _tokens(folder: Path) -> str:
    """What a folder's tokenizer does to a text, without the padding and truncation that its file may carry."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return str(tokenizer.to_str())
