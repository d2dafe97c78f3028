"""A verdict with what it was reached by: what `check` shows, and the library returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confidistill.confidence import rendering
from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.verdict import Outcome, Protocol, explained, holds, verdict


@dataclass(frozen=True)
class Verdict:
    """What was measured of a teacher and a student on the same rows, and what follows.

    `measures` are named as in measures.json, and are attributes too: `verdict.sigma`. `groups` are those of
    `check --by`, largest sigma first, and None where nothing was asked for.
    """

    measures: Mapping[str, Any]
    holds: bool
    """sigma <= kappa, by the protocol. What that is worth is the outcome."""
    outcome: Outcome
    protocol: Protocol
    kappa: float
    teacher: str = "teacher"
    student: str = "student"
    groups: tuple[Mapping[str, Any], ...] | None = None
    notes: tuple[str, ...] = ()
    """What reading the predictions had to do, for the user to know."""

    @property
    def judged(self) -> dict[str, Any]:
        """The verdict and what it was reached by, as files carry them."""
        return {"holds": self.holds, "verdict": self.outcome, "protocol": self.protocol, "kappa": self.kappa}

    @property
    def certified(self) -> bool:
        """Whether sigma <= kappa for all text like these rows, with 95 % confidence; see docs/concepts.md."""
        return bool(self.outcome != "not meaningful" and self.measures["sigma_upper"] <= self.kappa)

    @property
    def explained(self) -> str:
        """The verdict in one line."""
        return explained(self.measures, self.protocol, self.kappa)

    def to_dict(self) -> dict[str, Any]:
        """What `check --json` writes: every measure, the verdict, and the groups where there are any."""
        needed = {"certified": self.certified, "rows_needed": rows_needed(self.kappa)}
        groups = {} if self.groups is None else {"groups": [dict(group) for group in self.groups]}
        return {**self.measures, **self.judged, **needed, **groups}

    def __getattr__(self, name: str) -> Any:
        """A measure by its name."""
        measures = self.__dict__.get("measures", {})
        if name in measures:
            return measures[name]
        raise AttributeError(f"{type(self).__name__} has no attribute or measure {name!r}")

    def __str__(self) -> str:
        return f"{rendering.text(self)}\n{self.explained}"

    def _repr_html_(self) -> str:
        return rendering.html(self)


def judge(
    measures: Mapping[str, Any], *, protocol: Protocol = "definition", kappa: float = 0.05, **named: Any
) -> Verdict:
    """The verdict on what was measured; `named` are the other fields.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    held = holds(measures, protocol, kappa)
    return Verdict(measures, held, verdict(measures, protocol, kappa), protocol, kappa, **named)
