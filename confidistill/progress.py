"""Progress of long work: done, rate and time left on a terminal, silence elsewhere."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None = None, *, total: int | None = None, what: str, unit: str, hidden: bool = False
) -> Any:
    """A tqdm bar over `items` (or of `total` units, moved by `.update(n)`), hidden unless stderr is a terminal."""
    return tqdm(items, total=total, desc=what, unit=f" {unit}", disable=hidden or None, dynamic_ncols=True)
