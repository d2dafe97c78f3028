"""A pair over seeds, and the teacher against itself, by hand."""

from dataclasses import replace

import pandas as pd
import pytest

from confidistill.report.page import page
from confidistill.report.spread import display_spread, spread_table
from tests.report.examples import synthetic_pair


def test_mean_deviation_share_and_ratio_by_hand():
    pair = synthetic_pair()
    own = pair.measures["train"]["sigma"]

    def other(sigma: float) -> dict:
        return {split: {**pair.measures[split], "sigma": sigma} for split in pair.splits}

    table = spread_table([replace(pair, repeats=[other(own + 0.3), other(0.01)], floor=[other(0.1), other(0.2)])])
    train = table.iloc[0]
    mean = (own + own + 0.3 + 0.01) / 3
    assert (train["split"], train["seeds"]) == ("Tr", 3)
    assert train["sigma_mean"] == pytest.approx(mean)
    assert train["sigma_deviation"] == pytest.approx(pd.Series([own, own + 0.3, 0.01]).std())
    assert train["share_holding"] == pytest.approx(1 / 3)  # 0.01 alone is within kappa
    assert train["floor"] == pytest.approx(0.15)
    assert train["ratio"] == pytest.approx(mean / 0.15)


def test_a_pair_that_was_not_repeated_has_no_row_and_the_page_no_section():
    pair = synthetic_pair()
    assert spread_table([pair]).empty
    assert "Over seeds" not in page([pair], {}, {})
    repeated = replace(pair, repeats=[pair.measures])
    assert "Over seeds" in page([repeated], {}, {})
    assert display_spread([repeated])["ratio"].tolist() == ["–", "–"]
