"""The teacher's features on disk: the same training, and the teacher run once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from confidistill.distillation import feature_cache as module
from confidistill.distillation import features
from confidistill.distillation.data import Examples
from confidistill.distillation.feature_cache import feature_cache
from confidistill.distillation.feature_file import FeatureFile, Target
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.distillation import stages
from tests.distillation.stages import ROWS, TRAINING, contents, history

FEW = replace(TRAINING, epochs=3)


@pytest.fixture
def texts_of_the_teacher(monkeypatch):
    """How many texts went through the teacher, call by call."""
    counts = []

    def counted(model, **inputs):
        counts.append(len(inputs["input_ids"]))
        return forward(model, **inputs)

    forward = features.forward
    monkeypatch.setattr(features, "forward", counted)
    return counts


@pytest.mark.parametrize("stage", ["general", "intermediate"])
@pytest.mark.parametrize("base", ["plain", "base"])
def test_the_losses_are_those_without_it(assets, tmp_path, texts_of_the_teacher, base, stage):
    stages.STAGES[stage](assets, tmp_path / "with", base=base, training=FEW)
    assert sum(texts_of_the_teacher) == FEW.batch_size + ROWS  # the first batch also tells how large a text's are
    texts_of_the_teacher.clear()
    stages.STAGES[stage](assets, tmp_path / "without", base=base, training=FEW, feature_cache_gib=0.0)
    assert sum(texts_of_the_teacher) == 3 * ROWS
    assert history(tmp_path / "with") == pytest.approx(history(tmp_path / "without"), rel=1e-5)


def test_in_half_precision_they_are_of_half_the_size_and_the_losses_nearly_the_same(assets, tmp_path):
    training = replace(FEW, precision="bf16")
    stages.intermediate(assets, tmp_path / "with", base="plain", training=training)
    stages.intermediate(assets, tmp_path / "without", base="plain", training=training, feature_cache_gib=0.0)
    assert history(tmp_path / "with") == pytest.approx(history(tmp_path / "without"), rel=2e-3)


def test_too_large_is_said_and_changes_nothing(assets, tmp_path, capsys):
    stages.intermediate(assets, tmp_path / "with", training=FEW, feature_cache_gib=1e-6)
    assert "GiB, feature_cache_gib allows 1e-06: the teacher is run in every epoch\n" in capsys.readouterr().err
    stages.intermediate(assets, tmp_path / "without", training=FEW, feature_cache_gib=0.0)
    assert contents(tmp_path / "with") == contents(tmp_path / "without")


def test_a_full_disk(assets, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"the teacher's features take .* are free: .* or set feature_cache_gib to 0"):
        stages.intermediate(assets, tmp_path / "out", training=FEW)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "epochs", "seen"),
    [
        (None, 1, None),
        (None, 2, 44),
        (lambda epoch: np.arange(10) + 10 * epoch, 3, None),  # none comes again
        (lambda epoch: np.r_[:10, 10 + epoch], 3, 13),
    ],
)
def test_only_for_rows_that_come_again(assets, rows, epochs, seen):
    examples = Examples(load_tokenizer(assets / "base"), pd.read_parquet(assets / "train.parquet"), 16)
    found = feature_cache(examples, 0, rows, epochs=epochs, gib=1.0)
    assert (found and len(found.seen)) == seen
    assert feature_cache(examples, 0, rows, epochs=epochs, gib=0.0) is None


def test_not_for_several_processes(assets, monkeypatch):
    """Each sees other rows in each epoch."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    examples = Examples(load_tokenizer(assets / "base"), pd.read_parquet(assets / "train.parquet"), 16)
    assert feature_cache(examples, 0, epochs=3, gib=1.0) is None


LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@given(LENGTHS, st.booleans(), st.sampled_from([(), (1,), (1, 3)]), st.data())
def test_what_is_read_is_what_was_written(lengths, half, scored, data):
    """In any order, padded to any length; padding is 0."""

    def batch_of(rows, tokens):
        mask = torch.arange(tokens) < torch.tensor(lengths)[rows][:, None]
        return {"rows": torch.tensor(rows), "attention_mask": mask.long()}

    def of(batch):
        """Features that tell row, position and layer, in the format in which they come, and anything at padding."""
        rows, mask = batch["rows"], batch["attention_mask"]
        at = rows[:, None] + torch.arange(mask.shape[1]) / 8 + (1 - mask) * 99.0  # (B, T)
        pair = at[:, None, :, None] - at[:, None, None, :] / 4  # (B, 1, T, T)
        return Target(
            {i: at[..., None].expand(-1, -1, 5) * (i + 1) for i in (0, 2)},
            {i: (pair.expand(-1, 2, -1, -1) + i).to(torch.bfloat16 if half else torch.float32) for i in scored},
        )

    every = list(range(len(lengths)))
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        whole = batch_of(every, max(lengths))
        file = FeatureFile(of(whole), len(lengths))
    file.write(whole, of(whole))
    assert file.size(np.array(lengths)) == file._file.tell()
    rows = data.draw(st.lists(st.sampled_from(every), min_size=1))
    batch = batch_of(rows, max(lengths[row] for row in rows) + data.draw(st.integers(0, 2)))
    mask = batch["attention_mask"]
    found, expected = file.read(batch), of(batch)
    for layer, tensor in expected.hidden_states.items():
        stored = tensor.bfloat16().float() if half else tensor
        assert torch.equal(found.hidden_states[layer], torch.where(mask[..., None] == 1, stored, 0.0))
    assert list(found.scores) == list(scored)
    for layer, tensor in expected.scores.items():
        real = mask[:, None, :, None] * mask[:, None, None, :] == 1
        assert torch.equal(found.scores[layer], torch.where(real, tensor, 0.0))
