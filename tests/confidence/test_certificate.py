"""The bounds on the population sigma: their published figures, their coverage by simulation, their limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from confidistill.confidence.certificate import (
    bernstein_upper,
    betting_interval,
    betting_upper,
    hoeffding_upper,
    rows_needed,
)
from confidistill.confidence.difference import pairwise_difference, sigma
from confidistill.confidence.prediction_files import read_pair
from tests.confidence.arrays import problems
from tests.shared import SHARED, needs

PUBLISHED = SHARED / "published"
UPPER = (betting_upper, bernstein_upper, hoeffding_upper)

# Populations of |delta| and their shares: sigma is sqrt(sum share * delta^2).
POPULATIONS = {
    "rare flips": ([0.95, 0.03], [0.004, 0.996]),
    "very rare flips": ([1.0, 0.0], [0.0025, 0.9975]),
    "drift": ([0.02, 0.05, 0.1], [0.4, 0.4, 0.2]),
    "far apart": ([0.0, 0.3, 0.9], [0.5, 0.2, 0.3]),
    "all alike": ([0.05], [1.0]),
}


@pytest.mark.parametrize("rows", [40, 277, 1500])
@pytest.mark.parametrize(("values", "shares"), POPULATIONS.values(), ids=POPULATIONS)
def test_coverage_of_every_bound(values, shares, rows):
    """Of 200 samples at most 5 % may miss, and 5 standard errors more: 17 of 200 have a chance of 1 in 3,000 at 5 %."""
    random = np.random.default_rng(rows)
    truth = math.sqrt(np.dot(shares, np.square(values)))
    missed = dict.fromkeys([*(bound.__name__ for bound in UPPER), "interval"], 0)
    for _ in range(200):
        difference = random.choice(values, rows, p=shares)
        for bound in UPPER:
            missed[bound.__name__] += bound(difference) < truth - 1e-12
        low, high = betting_interval(difference)
        missed["interval"] += not low - 1e-12 <= truth <= high + 1e-12
    assert max(missed.values()) <= 17, missed


@settings(max_examples=100)
@given(problems())
def test_the_bounds_are_ordered_about_the_sample(problem):
    teacher, student = problem
    difference = pairwise_difference(teacher.probabilities, student.probabilities)
    value = sigma(difference)
    low, high = betting_interval(difference)
    assert 0 <= low <= value + 1e-9 and value - 1e-9 <= betting_upper(difference) <= high + 1e-9 <= 1 + 1e-9
    for bound in (bernstein_upper, hoeffding_upper):
        assert value - 1e-9 <= bound(difference) <= 1


def test_no_bound_beats_what_n_rows_can_tell():
    for rows in (1, 10, 100, 1197, 5000):
        least = math.sqrt(1 - 0.05 ** (1 / rows))
        assert all(bound(np.zeros(rows)) >= least - 1e-9 for bound in UPPER)
    assert betting_upper(np.zeros(1300)) <= 0.05


def test_rows_needed():
    assert rows_needed(0.05) == 1197
    for kappa in (0.01, 0.05, 0.3, 0.9):
        rows = rows_needed(kappa)
        assert (1 - kappa**2) ** rows <= 0.05 < (1 - kappa**2) ** (rows - 1)


def test_the_order_in_the_file_does_not_matter_and_the_seed_does():
    random = np.random.default_rng(0)
    difference = random.beta(0.3, 5, 400)
    first = betting_upper(difference)
    assert betting_upper(random.permutation(difference)) == first
    assert betting_upper(-difference) == first
    assert betting_upper(difference, seed=1) != first


def test_the_betting_bound_row_by_row():
    """The capital as a gambler would count it, row by row, at the bound and a little below it."""
    difference = np.random.default_rng(1).beta(0.3, 5, 160)
    values = np.random.default_rng(0).permutation(np.sort(difference**2))

    def richest(mean: float) -> float:
        capital, most, seen = 1.0, 1.0, [0.5]
        variances = [0.25]
        for row, value in enumerate(values, 1):
            bet = min(math.sqrt(2 * math.log(20) / (len(values) * np.sum(variances) / row)), 1 / (1 - mean))
            capital *= 1 + bet * (mean - value)
            if row % 16 == 0:
                most = max(most, capital)
            seen.append(value)
            variances.append((value - np.mean(seen)) ** 2)
        return most

    bound = betting_upper(difference) ** 2
    assert richest(bound + 1e-9) >= 20 > richest(bound - 1e-6)


@needs("published")
@pytest.mark.parametrize(
    ("task", "split", "hoeffding", "bernstein", "betting"),
    [
        ("RTE", "dev", 0.294, 0.219, 0.156),
        ("SST-2", "dev", 0.233, 0.166, 0.134),
        ("CoLA", "dev", 0.290, 0.253, 0.236),
    ],
)
def test_known_bounds_of_the_published_predictions(task, split, hoeffding, bernstein, betting):
    pair = read_pair(*(PUBLISHED / task / model / f"{split}.csv" for model in ("teacher", "student-6L")))
    difference = pairwise_difference(*(model.probabilities for model in pair))
    assert hoeffding_upper(difference) == pytest.approx(hoeffding, abs=5e-4)
    assert bernstein_upper(difference) == pytest.approx(bernstein, abs=5e-4)
    bounds = [betting_upper(difference, seed=seed) for seed in range(9)]  # the order of rows moves it by some 0.005
    assert min(bounds) - 5e-4 <= betting <= max(bounds) + 5e-4
