"""What n rows say of all rows like them: 95 % confidence bounds on the population sigma, distribution-free.

delta^2 lies in [0, 1], and sigma^2 is its mean: a bound on the mean of bounded variables is one on sigma. The rows must
be drawn independently from the text that the bound is to speak of, and be new to the student: a row that it was trained
on, or by which its epoch or its settings were chosen, says nothing of others. Labels are not needed.
"""

import math

import numpy as np

from confidistill.confidence.difference import Floats

LEVEL = 0.95
STEPS = 40  # of bisection: the mean to 1e-12, on the safe side
BLOCK = 16  # rows between two looks at the capital
PART = 2**16 * BLOCK  # rows that are worked on at a time


def hoeffding_upper(difference: Floats, level: float = LEVEL) -> float:
    """sqrt(mean delta^2 + sqrt(log(1/alpha) / 2n)) (Hoeffding 1963), at most 1. difference: (N,) delta, N >= 1."""
    alpha = 1 - level
    return _root(float(np.mean(difference**2)) + math.sqrt(math.log(1 / alpha) / (2 * len(difference))))


def bernstein_upper(difference: Floats, level: float = LEVEL) -> float:
    """sqrt(mean + sqrt(2 V log(2/alpha) / n) + 7 log(2/alpha) / 3(n-1)) of delta^2, V its sample variance; at most 1.

    Empirical Bernstein (Maurer and Pontil 2009, Theorem 4). difference: (N,) delta, N >= 1.
    """
    squares, rows = difference**2, len(difference)
    if rows < 2:
        return 1.0
    bits = math.log(2 / (1 - level))
    variance = float(squares.var(ddof=1))
    return _root(squares.mean() + math.sqrt(2 * variance * bits / rows) + 7 * bits / (3 * (rows - 1)))


def betting_upper(difference: Floats, level: float = LEVEL, seed: int = 0) -> float:
    """The tightest of the three: an upper confidence bound on sigma by betting (Waudby-Smith and Ramdas 2023).

    A gambler who starts with 1 and bets, row by row, that delta^2 lies below m owns
    K_t(m) = prod_{i <= t} (1 + lambda_i (m - delta_i^2)). Where the mean is m or more, no bets make K grow in
    expectation, and it ever reaches 1/alpha with probability alpha at most (Ville). The bound is the least m at which
    it did. lambda_i is their predictable plug-in for a fixed n, sqrt(2 log(1/alpha) / (n v_{i-1})) with v_{i-1} the
    variance of the rows before, at most 1/(1 - m) so that nothing is ever owed. The rows' order matters a little: they
    are sorted, then permuted by `seed`, so that their order in a file does not. difference: (N,) delta, N >= 1.
    """
    return _root(_mean_upper(_shuffled(difference, seed), 1 - level))


def betting_interval(difference: Floats, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """A two-sided confidence interval of sigma: `betting_upper`, and its mirror image, at half of alpha each."""
    squares, tail = _shuffled(difference, seed), (1 - level) / 2
    return _root(1 - _mean_upper(1 - squares, tail)), _root(_mean_upper(squares, tail))


def rows_needed(kappa: float, level: float = LEVEL) -> int:
    """The least n for which a distribution-free upper bound on sigma can be <= kappa: a perfect student needs as many.

    A population in which a share kappa^2 of the rows has |delta| = 1, and the rest none, has sigma = kappa; n rows show
    none of them with probability (1 - kappa^2)^n, which must not exceed alpha.
    """
    return math.ceil(math.log(1 - level) / math.log1p(-(kappa**2)))


def _mean_upper(values: Floats, alpha: float) -> float:
    """The betting bound on the mean of values in [0, 1], in their order: (N,)."""
    bets = _plug_in(values, alpha)
    threshold = math.log(1 / alpha)

    def rejected(mean: float) -> bool:
        capital = 0.0
        for start in range(0, len(values), PART):
            part = slice(start, start + PART)
            factors = 1 + np.minimum(bets[part], 1 / (1 - mean)) * (mean - values[part])  # growing in the mean
            with np.errstate(divide="ignore"):
                steps = np.log(np.multiply.reduceat(factors.clip(0), np.arange(0, len(factors), BLOCK)))
            steps[0] += capital
            capitals = np.cumsum(steps)
            if capitals.max() >= threshold:
                return True
            capital = float(capitals[-1])
        return False

    low, high = float(values.mean()), 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return high


def _plug_in(values: Floats, alpha: float) -> Floats:
    """lambda_i from the values before i, with one made-up value of mean 1/2 and variance 1/4 before the first. (N,)"""
    rows = len(values)
    weights = np.arange(2, rows + 2)
    found = np.cumsum(values)  # in place from here on: there may be memory for few arrays of that size
    found += 0.5
    found /= weights  # means
    np.subtract(values, found, out=found)
    np.cumsum(np.square(found, out=found), out=found)
    found += 0.25
    found /= weights  # variances
    found[1:] = found[:-1].copy()
    found[0] = 0.25
    found *= rows
    np.divide(2 * math.log(1 / alpha), found, out=found)
    return np.sqrt(found, out=found)


def _shuffled(difference: Floats, seed: int) -> Floats:
    """delta^2 in an order that the seed and the values decide, and the file's order does not. (N,)"""
    return np.random.default_rng(seed).permutation(np.sort(difference**2))


def _root(mean: float) -> float:
    """sigma of a mean of delta^2, in 0..1 whatever rounding did to it."""
    return math.sqrt(min(max(float(mean), 0.0), 1.0))
