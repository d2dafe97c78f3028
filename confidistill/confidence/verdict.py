"""The verdict: does the property hold, and is there something to hold? Pure functions of what was measured."""

from collections.abc import Mapping
from math import isnan, sqrt
from typing import Any, Literal

from confidistill.errors import UserError

Protocol = Literal["definition", "released"]
Outcome = Literal["holds", "fails", "open", "not meaningful"]
SIGMA: dict[Protocol, str] = {"definition": "sigma", "released": "sigma_released"}

# With fewer rows the percentile bootstrap, which tells `open` from the rest, is over 6 % too narrow even for
# well-behaved values (z/t * sqrt((n-1)/n); Hesterberg 2015), and one row of opposite class moves sigma by up to 0.19.
MINIMUM_ROWS = 30
ONE_SIDED_95 = 1.6449  # quantile of the standard normal distribution


def check_kappa(kappa: float) -> None:
    """Refuse a kappa that sigma, which lies in 0..1, could not fail or not meet.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    if not 0 < kappa < 1:
        raise UserError(f"kappa must lie between 0 and 1, not {kappa:g}: sigma is a difference of probabilities")


def holds(measured: Mapping[str, Any], protocol: Protocol, kappa: float) -> bool:
    """phi_cnf (Eq. 4): sigma <= kappa, sigma as `protocol` reads it. An undefined sigma does not hold.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    check_kappa(kappa)
    return bool(measured[SIGMA[protocol]] <= kappa)


def verdict(measured: Mapping[str, Any], protocol: Protocol, kappa: float) -> Outcome:
    """What `holds` is worth on one split, given its measures (see `measures.measure`).

    - not meaningful: there is nothing to hold, see `objection`;
    - open: too close to call, since resampling the rows decides: the bootstrap's 95 % interval of sigma covers kappa;
    - holds, fails: sigma <= kappa or not, and on nearly every resample alike.

    Raises:
        UserError: not 0 < kappa < 1.
    """
    held = holds(measured, protocol, kappa)
    if objection(measured, protocol):
        return "not meaningful"
    low, high = resampled_interval(measured, protocol)
    if low <= kappa < high:
        return "open"
    return "holds" if held else "fails"


def objection(measured: Mapping[str, Any], protocol: Protocol) -> str | None:
    """Why sigma says nothing here, in one line: too few rows, or a model that has not learnt the task; None: it does.

    A model has learnt it where the lower end of a one-sided 95 % Wilson (1927) interval of its accuracy is above the
    share of the most frequent class. Unlabelled rows, whose accuracy is undefined, are taken as they are.
    """
    rows = judged_rows(measured, protocol)
    if rows < MINIMUM_ROWS:
        of = "rows" if protocol == "definition" else "rows that both models get right"
        return f"{rows} {of}: a verdict needs at least {MINIMUM_ROWS}"
    for model in ("teacher", "student"):
        accuracy, majority = measured[f"accuracy_{model}"], measured["majority"]
        if wilson_low(accuracy, measured["examples"]) <= majority:
            low = wilson_low(accuracy, measured["examples"])
            return (
                f"the {model} does not beat the majority class: accuracy {accuracy:.1%} (at least {low:.1%}, with 95 % "
                f"confidence), majority {majority:.1%}"
            )
    return None


def explained(measured: Mapping[str, Any], protocol: Protocol, kappa: float) -> str:
    """The verdict in one line, as `check` ends."""
    value, result = measured[SIGMA[protocol]], verdict(measured, protocol, kappa)
    by = f"(protocol {protocol})"
    if result == "not meaningful":
        return f"NOT MEANINGFUL: {objection(measured, protocol)} {by}"
    sign = "<=" if holds(measured, protocol, kappa) else ">"
    if result == "open":
        low, high = resampled_interval(measured, protocol)
        return (
            f"OPEN: sigma {value:.6f} {sign} kappa {kappa:g} is too close to call: over resampled rows sigma is "
            f"{low:.6f} to {high:.6f} {by}"
        )
    return f"{result.upper()}: sigma {value:.6f} {sign} kappa {kappa:g} {by}"


def judged_rows(measured: Mapping[str, Any], protocol: Protocol) -> int:
    """How many rows sigma is of: all, or by `released` those that both models get right."""
    if protocol == "definition":
        return int(measured["examples"])
    left_out = measured["released_left_out"]
    return 0 if isnan(left_out) else round(measured["examples"] * (1 - left_out))


def resampled_interval(measured: Mapping[str, Any], protocol: Protocol) -> tuple[float, float]:
    """The bootstrap's 95 % interval of the sigma that judges."""
    low, high = (measured[f"{SIGMA[protocol]}_resampled_{end}"] for end in ("low", "high"))
    return float(low), float(high)


def wilson_low(share: float, examples: int, quantile: float = ONE_SIDED_95) -> float:
    """Lower end of Wilson's (1927) score interval of a share of `examples`; NaN of NaN."""
    square = quantile**2 / examples
    spread = quantile * sqrt(share * (1 - share) / examples + square / (4 * examples))
    return (share + square / 2 - spread) / (1 + square)
