"""Tables whose texts are on disk."""

import numpy as np
import pandas as pd
import pyarrow
import pytest

from confidistill.text.mapped import read_mapped
from confidistill.text.rows import where

TABLE = pd.DataFrame(
    {
        "text": ["the film", "", "très long ☃", None, "a\nb", "great", "the film"],
        "label": [0, 1, 1, 0, -1, 0, 1],
        "origin": np.arange(7, dtype=np.int32),
        "logit0": np.linspace(-1, 1, 7, dtype=np.float32),
        "rating": [0.5, None, 2.0, 1.0, 1.0, -3.0, 0.0],
    }
)


@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("together", [2, 100])
def test_it_is_the_table_that_pandas_reads(tmp_path, monkeypatch, rows, together):
    monkeypatch.setattr("confidistill.text.mapped.READ_TOGETHER", together)
    path = tmp_path / "table.parquet"
    TABLE.head(rows).to_parquet(path, index=False)
    read = read_mapped(path)
    pd.testing.assert_frame_equal(read, pd.read_parquet(path))
    chosen = np.arange(rows) % 3 != 1
    pd.testing.assert_frame_equal(where(read, chosen), read[chosen].reset_index(drop=True))


def test_written_again_it_is_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr("confidistill.text.mapped.READ_TOGETHER", 2)
    TABLE.to_parquet(tmp_path / "table.parquet", index=False)
    read_mapped(tmp_path / "table.parquet").to_parquet(tmp_path / "again.parquet", index=False)
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "table.parquet").read_bytes()


def test_memory_does_not_hold_the_texts(tmp_path):
    rows, path = 50_000, tmp_path / "table.parquet"
    pd.DataFrame({"text": ["the film was great " * 10] * rows, "label": 0}).to_parquet(path, index=False)

    def held(read):
        before = pyarrow.total_allocated_bytes()
        table = read(path)
        assert table["text"].str.len().sum() == 190 * rows
        return pyarrow.total_allocated_bytes() - before

    assert held(pd.read_parquet) > 190 * rows
    assert held(read_mapped) < 20 * rows  # the labels
