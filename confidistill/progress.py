"""Progress of long work: done, rate and time left on a terminal, silence elsewhere."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    what: str,
    unit: str,
    hidden: bool = False,
) -> Any:
    """A tqdm bar over `items` (or of `total` units, moved by `.update(n)`), hidden unless stderr is a terminal."""
    return tqdm(items, total=total, desc=what, unit=f" {unit}", disable=hidden or None, dynamic_ncols=True)


def quieten_transformers() -> None:
    """No notes on heads that are new, which is meant; no bars for loading and saving off a terminal."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
