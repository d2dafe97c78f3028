"""The teacher's features on disk, so that it is run once on each text and not in each epoch."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from shutil import disk_usage
from tempfile import gettempdir

import numpy as np
import numpy.typing as npt
import torch

from confidistill.distillation.data import Batch, Examples, Sequences, by_length
from confidistill.distillation.feature_file import FeatureFile, Target
from confidistill.distillation.processes import own_place
from confidistill.distillation.variants import Rows
from confidistill.errors import UserError
from confidistill.progress import progress

COMPUTED_TOGETHER = 64  # rows
PAYS = 1.5  # times that a row is seen, on average: below, writing and reading take what the teacher's passes would
GIB = 2**30

Compute = Callable[[Batch], Target]


@dataclass(frozen=True)
class FeatureCache:
    """The text of all epochs, and how much of the disk the teacher's features of it may take."""

    data: Examples | Sequences
    pad_token_id: int
    seen: npt.NDArray[np.intp]
    """The rows that some epoch has, each once."""
    gib: float


def feature_cache(
    data: Examples | Sequences, pad_token_id: int, rows: Rows | None = None, *, epochs: int, gib: float
) -> FeatureCache | None:
    """A cache of at most `gib` GiB where it can pay: on a processor, in one process, for rows that come again.

    Args:
        rows: which of `data` an epoch is of; None: all.
    """
    if not gib or own_place()[1] > 1 or torch.cuda.is_available():
        return None
    seen, uses = np.full(len(data), rows is None), epochs * len(data)
    if rows:
        uses = 0
        for of_epoch in map(rows, range(epochs)):
            seen[of_epoch] = True
            uses += len(of_epoch)
    return FeatureCache(data, pad_token_id, np.flatnonzero(seen), gib) if uses >= PAYS * seen.sum() else None


def cached(compute: Compute, cache: FeatureCache) -> Compute:
    """`compute`, run on all rows of the cache by the first call, under the autocast that this has, and then read.

    Where the features would take more than the cache may, which is said, each call computes. A call raises a UserError
    where they would fit into the cache, but not on the disk.
    """
    found: Compute | None = None

    def target(batch: Batch) -> Target:
        nonlocal found
        if found is None:
            file = _filled(compute, cache, batch)
            found = file.read if file else compute
        return found(batch)

    return target


def _filled(compute: Compute, cache: FeatureCache, batch: Batch) -> FeatureFile | None:
    """A file of the features of all rows, made as those of `batch` are; None: they take too much."""
    file = FeatureFile(compute(batch), len(cache.data))
    needed = file.size(cache.data.lengths[cache.seen])
    takes = f"the teacher's features take {needed / GIB:.2g} GiB"
    if needed > cache.gib * GIB:
        print(f"{takes}, feature_cache_gib allows {cache.gib:g}: the teacher is run in every epoch", file=sys.stderr)
        return None
    free = disk_usage(gettempdir()).free
    if needed > free:
        raise UserError(
            f"{gettempdir()}: {takes}, only {free / GIB:.2g} are free: free some space, name another folder by TMPDIR, "
            "or set feature_cache_gib to 0"
        )
    with progress(total=len(cache.seen), what="teacher's features", unit="rows") as bar:
        for part in by_length(cache.data, cache.pad_token_id, COMPUTED_TOGETHER, cache.seen):
            file.write(part, compute(part))
            bar.update(len(part["rows"]))
    return file
