"""Stage 1 on a task's text."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from transformers import RoFormerConfig, RoFormerModel

from confidistill.distillation.intermediate import distill_intermediate
from confidistill.errors import UserError
from tests import tiny
from tests.distillation import stages
from tests.distillation.stages import TRAINING, checkpoints, history


def run(assets, output, table, *, base="plain", student=None, training=TRAINING, **options):
    distill_intermediate(
        assets / base,
        student or assets / f"{base}-student",
        table,
        output,
        max_length=16,
        training=training,
        checkpoints=checkpoints(output),
        **options,
    )
    return history(output)[0]


def test_loss_of_a_padded_batch_is_the_mean_of_its_texts_alone(assets, tmp_path):
    table = pd.DataFrame({"text": ["the film was a very dull and boring story", "great music", "a lovely scene was"]})
    first = replace(TRAINING, epochs=1, checkpoint_steps=1)
    together = run(assets, tmp_path / "together", table, training=replace(first, batch_size=3))
    alone = [
        run(assets, tmp_path / str(row), table[row : row + 1], training=replace(first, batch_size=1))
        for row in range(3)
    ]
    assert len({round(loss, 3) for loss in alone}) == 3
    assert together == pytest.approx(sum(alone) / 3, rel=1e-5)


def test_padding_as_the_reference_counts_it_differs(assets, tmp_path):
    table = pd.DataFrame({"text": ["the film was a very dull and boring story", "great music"]})
    training = replace(TRAINING, epochs=1, checkpoint_steps=1)
    ours = run(assets, tmp_path / "ours", table, training=training)
    theirs = run(assets, tmp_path / "theirs", table, training=training, padding="reference")
    assert theirs != pytest.approx(ours, rel=1e-2)


def test_labels_and_logits_play_no_part(assets, tmp_path):
    table = pd.read_parquet(assets / "train.parquet")
    for name, rows in (("with", table), ("without", table[["text"]])):
        run(assets, tmp_path / name, rows)
    assert stages.contents(tmp_path / "with") == stages.contents(tmp_path / "without")


def test_layers_can_be_listed(assets, tmp_path):
    table = pd.read_parquet(assets / "train.parquet")
    uniform = run(assets, tmp_path / "uniform", table)
    same = run(assets, tmp_path / "same", table, layer_map={"attention": [1, 3], "hidden": [0, 2, 4]})
    other = run(assets, tmp_path / "other", table, layer_map={"attention": [0, 1], "hidden": [0, 1, 2]})
    assert uniform == same != other


def test_depth_that_does_not_divide(assets, tmp_path):
    tiny.write_model(tmp_path / "teacher", layers=3)
    with pytest.raises(UserError, match="a student of 2 layers cannot be mapped uniformly onto a teacher of 3"):
        run(
            tmp_path,
            tmp_path / "out",
            pd.read_parquet(assets / "train.parquet"),
            base="teacher",
            student=assets / "base-student",
        )
    assert not (tmp_path / "out").exists()


def test_other_heads(assets, tmp_path):
    tiny.write_model(tmp_path / "teacher", heads=4)
    with pytest.raises(UserError, match="the student has 2 attention heads, the teacher 4"):
        run(
            tmp_path,
            tmp_path / "out",
            pd.read_parquet(assets / "train.parquet"),
            base="teacher",
            student=assets / "base-student",
        )


def test_not_a_student(assets, tmp_path):
    with pytest.raises(UserError, match=r"projection\.safetensors: no such file"):
        run(assets, tmp_path / "out", pd.read_parquet(assets / "train.parquet"), student=assets / "base")


def test_of_no_family_that_is_supported(assets, tmp_path):
    shutil.copytree(assets / "plain", tmp_path / "teacher")
    (tmp_path / "teacher" / "model.safetensors").unlink()
    sizes = {"hidden_size": 24, "embedding_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2}
    RoFormerModel(RoFormerConfig(vocab_size=80, intermediate_size=48, **sizes)).save_pretrained(tmp_path / "teacher")
    table = pd.read_parquet(assets / "train.parquet")
    with pytest.raises(UserError, match="a 'roformer' model is not supported"):
        run(tmp_path, tmp_path / "out", table, base="teacher", student=assets / "plain-student")
