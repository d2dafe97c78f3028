"""Imports of large packages at their least price."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """A block of imports, and no collection of garbage in it.

    torch and transformers make a million objects as they are imported and no garbage; to look for some, again and
    again, then and when the process ends, takes as long as the imports themselves. What is there at the
    end of the block is not looked at again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
