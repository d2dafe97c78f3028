"""The curves: densities that are densities, reliability that adds up, a scatter that is a sample."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confidistill.report import curves
from confidistill.report.pair import Pair
from tests.report.examples import synthetic_pair


@pytest.fixture(scope="module")
def pair() -> Pair:
    return synthetic_pair()


@given(st.lists(st.floats(0.5, 1.0), min_size=1, max_size=60))
@settings(max_examples=60)
def test_a_density_integrates_to_one_whatever_the_values(values: list[float]) -> None:
    x, density = curves.density(np.array(values), 0.5, 1.0)
    assert density.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-9)
    assert (density >= 0).all()
    assert x.min() > 0.5 and x.max() < 1


def test_the_density_of_a_normal_distribution_s_quantiles_is_the_normal_density() -> None:
    values = np.array([NormalDist(0, 0.1).inv_cdf(share) for share in (np.arange(20_000) + 0.5) / 20_000])
    x, density = curves.density(values, -1.0, 1.0, points=1000)
    normal = np.exp(-((x / 0.1) ** 2) / 2) / (0.1 * np.sqrt(2 * np.pi))
    assert np.abs(density - normal).max() < 0.01 * normal.max()


def test_mass_at_an_end_of_the_support_stays_there() -> None:
    """Uniform values: without reflection the density would sink to one half at the ends."""
    _, density = curves.density(np.linspace(0.5, 1, 5001), 0.5, 1.0)
    assert density[[0, -1]] == pytest.approx([2, 2], rel=0.02)


@pytest.mark.parametrize("values", [[], [0.4], [0.7, 1.1]])
def test_values_outside_the_support_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"all within \[0.5, 1.0\]"):
        curves.density(np.array(values), 0.5, 1.0)


def test_densities_are_three_curves_each_of_mass_one(pair: Pair) -> None:
    table = curves.densities(pair)
    assert list(table.columns) == ["x", "density", "curve"]
    assert list(table["curve"].unique()) == ["teacher confidence", "student confidence", "difference"]
    for _, curve in table.groupby("curve"):
        assert curve["density"].sum() * curve["x"].diff().iloc[1] == pytest.approx(1, abs=1e-6)


def test_reliability_counts_every_example_and_averages_to_the_accuracy(pair: Pair) -> None:
    table = curves.reliabilities(pair, "dev")
    for model in ("teacher", "student"):
        bins = table[table["model"] == model]
        assert bins["examples"].sum() == 300
        accuracy = (bins["accuracy"] * bins["examples"]).sum() / 300
        assert accuracy == pytest.approx(pair.measures["dev"][f"accuracy_{model}"])
        assert bins["confidence"].between(0.5, 1).all()


def test_scatter_is_a_seeded_sample_that_tells_agreement(pair: Pair) -> None:
    everything = curves.scatter(pair, "dev")
    assert len(everything) == 300
    share = (everything["classes"] == "agree").mean()
    assert share == pytest.approx(pair.measures["dev"]["agreement"])
    some = curves.scatter(pair, "dev", limit=40, seed=3)
    assert len(some) == 40 and some.equals(curves.scatter(pair, "dev", limit=40, seed=3))
    assert not some.equals(curves.scatter(pair, "dev", limit=40, seed=4))
    assert set(map(tuple, some.to_numpy())) <= set(map(tuple, everything.to_numpy()))
