"""Imports of large packages at their least price."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "5000"  # of a thread that waits for others, before it sleeps; libgomp's default is 300,000


@contextmanager
def importing() -> Iterator[None]:
    """A block of imports, and no collection of garbage in it.

    torch and transformers make a million objects as they are imported and no garbage; to look for some, again and
    again, then and when the process ends, takes as long as the imports themselves. What is there at the
    end of the block is not looked at again. torch's OpenMP reads the environment as it is imported.
    """
    wait_briefly()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def wait_briefly() -> None:
    """Have OpenMP's threads wait for each other without keeping other processes off the processor.

    A thread that spins uses the time which the one that it waits for needs: beside one other busy process a step of
    two threads takes 7 times as long by default. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
