"""Which of a sentence's variants an epoch learns from."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.distillation.data import BucketedBatches
from confidistill.distillation.variants import fresh
from tests.distillation import stages
from tests.distillation.stages import contents, history


def table(counts):
    """A sentence and so many variants of it, a row each; the transfer text has two rows."""
    origins = [origin for origin, count in enumerate(counts) for _ in range(count + 1)]
    return pd.DataFrame({"origin": [*origins, -1, -1]})


def test_each_sentence_and_another_variant_in_each_epoch():
    rows = fresh(table([3, 1, 0]), 1, seed=0)  # rows 0-3, 4-5, 6; transfer 7, 8
    epochs = [rows(epoch).tolist() for epoch in range(6)]
    assert all({0, 4, 5, 6, 7, 8} <= set(epoch) and len(epoch) == 7 for epoch in epochs)
    turns = [(set(epoch) - {0, 4, 5, 6, 7, 8}).pop() for epoch in epochs]
    assert sorted(turns[:3]) == [1, 2, 3]
    assert turns[3:] == turns[:3]


@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=20),
    variants=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_every_epoch_is_as_long_and_misses_no_sentence(counts, variants, seed):
    made = table(counts)
    rows = fresh(made, variants, seed) or (lambda _: np.arange(len(made)))
    expected = len(counts) + 2 + sum(min(count, variants) for count in counts)
    seen = set()
    for epoch in range(6):
        chosen = rows(epoch)
        assert len(set(chosen)) == len(chosen) == expected
        assert made.iloc[chosen]["origin"].value_counts()[-1] == 2
        seen |= set(chosen)
    assert seen == set(range(len(made)))


@pytest.mark.parametrize("made", [table([0, 0]), pd.DataFrame({"text": ["a", "b"]})], ids=["none", "no origin"])
def test_where_there_is_none_all_rows_are_learnt(made):
    assert fresh(made, 1, seed=0) is None


def test_none_asked_for_is_all():
    assert fresh(table([3, 3]), None, seed=0) is None


def test_batches_are_of_the_epochs_rows():
    rows = fresh(table([4, 4, 4, 4]), 1, seed=0)
    batches = BucketedBatches([5] * 22, 4, seed=0, rows=rows)
    assert len(batches) == 3  # 10 rows
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        assert sorted(np.concatenate(batches.global_batches())) == rows(epoch).tolist()
    assert batches.weight(2) == 1.0


@pytest.fixture
def augmented(assets, tmp_path):
    """Assets whose training set has each sentence four times, as variants."""
    folder = tmp_path / "assets"
    folder.mkdir()
    for path in assets.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "train.parquet").unlink()
    train = pd.read_parquet(assets / "train.parquet")
    rows = train.loc[train.index.repeat(4)].reset_index(drop=True)
    rows.assign(origin=np.repeat(np.arange(len(train)), 4)).to_parquet(folder / "train.parquet")
    return folder


@pytest.mark.parametrize("stage", ["intermediate", "prediction"])
def test_stage_learns_from_the_epochs_rows_and_resumes_to_the_same_bytes(augmented, tmp_path, stopped, stage):
    stopped(stage, 15, assets=augmented, variants=1)  # of 22: 88 of 176 rows an epoch, 8 a step
    stages.STAGES[stage](augmented, tmp_path / "out", variants=1)
    stages.STAGES[stage](augmented, tmp_path / "whole", variants=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert history(tmp_path / "out", "step")[-1] == 22
