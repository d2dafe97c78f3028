"""A percentile bootstrap interval of sigma."""

import numpy as np

from confidistill.confidence.difference import Floats

CHUNK = 2**22  # drawn numbers held at a time


def bootstrap_interval(
    difference: Floats, *, centred: bool = False, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the RMS of delta over resamples of the examples (Efron 1979).

    Args:
        difference: (N,) delta.
        centred: the standard deviation instead of the RMS (the released protocol).

    Returns:
        low, high; NaN for no examples.

    A resample of N examples is drawn as counts of `bins` groups of neighbouring delta where N is large: groups of
    sorted values are so narrow that the interval moves by less than its own noise, and a million rows take a second.
    """
    if not len(difference):
        return float("nan"), float("nan")
    values, weights = _grouped(np.sort(difference))
    random = np.random.default_rng(seed)
    share = weights / weights.sum()
    sigmas = []
    step = max(1, CHUNK // len(values))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        counts = random.multinomial(len(difference), share, size=size)  # (size, groups)
        mean = counts @ values[0] / len(difference)
        square = counts @ values[1] / len(difference)
        sigmas.append(np.sqrt((square - mean**2).clip(0) if centred else square))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(sigmas), [tail, 1 - tail])
    return float(low), float(high)


def _grouped(ordered: Floats, groups: int = 4096) -> tuple[Floats, Floats]:
    """Means of delta and delta^2, (2, G), and sizes, (G,), of at most `groups` runs of the sorted values."""
    edges = np.unique(np.linspace(0, len(ordered), min(groups, len(ordered)) + 1).astype(int))
    sizes = np.diff(edges)
    sums = np.stack([np.add.reduceat(ordered, edges[:-1]), np.add.reduceat(ordered**2, edges[:-1])])
    return sums / sizes, sizes.astype(np.float64)
