"""What a module is made of: its own imports, those of functions included, and nothing beside them."""

from pathlib import Path

import pytest

from confidistill.code import code_behind


def names(module: str) -> set[str]:
    root = Path(__file__).parents[1]
    return {path.relative_to(root).as_posix() for path in code_behind(module)}


def test_a_teacher_is_not_made_of_losses():
    code = names("confidistill.distillation.finetuning")
    assert {"confidistill/text/tokens.py", "confidistill/confidence/agreement.py"} <= code  # tokens; picks the epoch
    assert "confidistill/architectures/__init__.py" in code  # which does something; its own package's is a docstring
    others = ("__init__.py", "losses.py", "published.py")
    assert not {f"confidistill/distillation/{name}" for name in others} & code


def test_a_student_is():
    assert "confidistill/distillation/losses.py" in names("confidistill.distillation.prediction")
    assert "confidistill/distillation/losses.py" in names("confidistill.distillation.intermediate")


def test_a_module_that_is_not_there():
    with pytest.raises(ValueError, match="no module is called"):
        code_behind("confidistill.distillation.magic")
