"""Seconds of work, and several ways of doing it in turn, so that a machine's moods meet all of them."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def now() -> float:
    """The time in seconds, once a GPU has done what it was given."""
    torch = sys.modules.get("torch")  # which not every bench imports
    if torch and torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, of what it gives a GPU to do, too."""
    started = now()
    work()
    return now() - started


def in_turn(ways: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each way gives, round by round; every other round goes through them backwards."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            found[name].append(ways[name]())
    return found
