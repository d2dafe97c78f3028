"""What stands beside the clone on some machines and is no part of the project, and the tests that need it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared"

# What guards the same claim where a part is not there.
IN_A_PLAIN_CLONE = {
    "published": "tests/golden has the figures of the released predictions and recomputes the measures",
    "reference": "tests/golden recomputes every loss and its gradient by the reference's formulas",
    "glue": "the readers are tested on small tables of GLUE's forms",
    "models/mlm-tiny": "the masked LM is tested on a tiny random one",
}


def needs(part: str) -> pytest.MarkDecorator:
    """Skip where ../shared has no such part, and say so."""
    reason = f"needs ../shared/{part}, which is not shipped; in a plain clone {IN_A_PLAIN_CLONE[part]}"
    return pytest.mark.skipif(not (SHARED / part).is_dir(), reason=reason)
