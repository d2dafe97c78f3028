"""Distil a classifier and know that the student is as sure as its teacher.

The library's surface, imported when it is asked for (docs/library.md): `check`, `measure`, `sigma`, `Verdict`,
`PairwiseConfidence`, `UserError`, and `ConfidenceCallback`, which needs transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from confidistill.confidence.checking import check, measure, sigma
    from confidistill.confidence.judgement import Verdict
    from confidistill.confidence.running import PairwiseConfidence
    from confidistill.errors import UserError
    from confidistill.training_callback import ConfidenceCallback

__all__ = ["ConfidenceCallback", "PairwiseConfidence", "UserError", "Verdict", "check", "measure", "sigma"]

_MODULES = {
    "check": "confidence.checking",
    "measure": "confidence.checking",
    "sigma": "confidence.checking",
    "Verdict": "confidence.judgement",
    "PairwiseConfidence": "confidence.running",
    "ConfidenceCallback": "training_callback",
    "UserError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
