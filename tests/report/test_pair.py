"""A pair is read by the protocol that judges it."""

import numpy as np
import pytest

from confidistill.confidence.predictions import from_logits
from confidistill.errors import UserError
from confidistill.report.pair import Pair
from tests.report.examples import synthetic_pair


def test_sigma_is_the_root_mean_square_or_the_deviation_of_the_difference() -> None:
    defined, released = (synthetic_pair(protocol=protocol) for protocol in ("definition", "released"))
    assert defined.sigma("dev") == pytest.approx(np.sqrt(np.mean(defined.difference("dev") ** 2)))
    assert released.sigma("dev") == pytest.approx(np.std(released.difference("dev")))
    assert len(released.difference("dev")) < len(defined.difference("dev")) == 300
    for pair in (defined, released):
        low, high = pair.interval("train")
        assert low < pair.sigma("train") < high


def test_every_split_has_a_verdict_by_the_pair_s_kappa() -> None:
    pair = synthetic_pair(noise=0.6, kappa=0.05)
    assert pair.verdict() == pair.measures["verdict"] == pair.verdict("dev") == "fails"
    lenient = Pair(**{**vars(pair), "measures": {**pair.measures, "kappa": 0.5}})
    assert lenient.verdict() == lenient.verdict("dev") == "holds"
    near = Pair(**{**vars(pair), "measures": {**pair.measures, "kappa": pair.sigma("dev")}})
    assert near.verdict("dev") == "open"


def test_train_comes_first_whatever_the_order_of_the_predictions() -> None:
    pair = synthetic_pair()
    turned = Pair(**{**vars(pair), "predictions": dict(reversed(pair.predictions.items()))})
    assert turned.splits == ["train", "dev"]


def test_released_without_an_example_both_get_right_is_told_in_one_line() -> None:
    pair = synthetic_pair(protocol="released")
    right, wrong = (from_logits(np.array([[sign, -sign]]), np.array([0])) for sign in (1.0, -1.0))
    apart = Pair(**{**vars(pair), "predictions": {"train": (right, wrong)}})
    with pytest.raises(UserError, match="movies, S_2L, train: both models are right on no example"):
        apart.difference("train")
