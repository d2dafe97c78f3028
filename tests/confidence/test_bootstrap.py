"""The interval: seeded, indifferent to order, and right where another way gives it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.confidence.bootstrap import bootstrap_interval
from confidistill.confidence.difference import sigma


def test_seed_decides():
    difference = np.random.default_rng(0).normal(0, 0.1, 500)
    assert bootstrap_interval(difference, seed=1) == bootstrap_interval(difference, seed=1)
    assert bootstrap_interval(difference, seed=1) != bootstrap_interval(difference, seed=2)


@given(st.integers(0, 1000), st.integers(2, 60))
def test_order_changes_nothing(seed, rows):
    random = np.random.default_rng(seed)
    difference = random.normal(0, 0.1, rows)
    first = bootstrap_interval(difference, resamples=50)
    assert bootstrap_interval(random.permutation(difference), resamples=50) == first


def test_equal_differences_have_a_point_interval():
    assert bootstrap_interval(np.full(100, 0.25)) == pytest.approx((0.25, 0.25))
    assert bootstrap_interval(np.full(100, 0.25), centred=True) == pytest.approx((0, 0), abs=1e-7)


def test_no_example_no_interval():
    assert np.isnan(bootstrap_interval(np.array([]))).all()


@pytest.mark.parametrize("centred", [False, True])
def test_as_plain_resampling(centred):
    # 20,000 rows are drawn as groups; row by row, as a textbook does it, gives the same ends.
    random = np.random.default_rng(3)
    difference = random.beta(0.5, 5, 20_000) * random.choice([-1, 1], 20_000, p=[0.2, 0.8])
    plain = [
        np.std(resample) if centred else sigma(resample)
        for resample in (random.choice(difference, len(difference)) for _ in range(1000))
    ]
    low, high = np.quantile(plain, [0.025, 0.975])
    ours = bootstrap_interval(difference, centred=centred)
    assert ours == pytest.approx((low, high), abs=0.1 * (high - low))


def test_about_its_normal_approximation():
    # delta^2 of N(0, s) has mean s^2 and variance 2 s^4, so sigma has standard error s / sqrt(2 N).
    difference = np.random.default_rng(0).normal(0, 0.1, 200_000)
    low, high = bootstrap_interval(difference)
    assert low < sigma(difference) < high
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(2 * 200_000), rel=0.12)
