"""The training loop against one written out in plain PyTorch, and what holds of every stage."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, set_seed

from confidistill.distillation import training as loop
from confidistill.distillation.data import BucketedBatches, Examples, Sequences, collator
from confidistill.distillation.prediction import distill_prediction
from confidistill.distillation.terms import Term
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests.distillation import stages
from tests.distillation.stages import TRAINING, contents, history

FILES = {"config.json", "history.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
FINAL = {
    "teacher": FILES | {"README.md"},
    "general": FILES | {"projection.safetensors"},
    "intermediate": FILES | {"projection.safetensors"},
    "prediction": FILES | {"README.md"},
}


def test_history_and_weights_are_those_of_a_plain_loop(assets, tmp_path):
    """AdamW without decay on biases and norms, warm-up and linear decay, clipping at 1: six steps, the last short.

    The loss is the squared distance of logits, whose gradient is long enough to be clipped.
    """
    training = replace(TRAINING, epochs=1, warmup_ratio=0.34, checkpoint_steps=1)
    table = pd.read_parquet(assets / "train.parquet")
    distill_prediction(
        assets / "plain-student",
        table,
        table,
        tmp_path / "out",
        label_names=["bad", "good"],
        max_length=16,
        training=training,
        metric="accuracy",
        checkpoints=tmp_path / "checkpoints",
        terms=[Term("logit_mse")],
    )

    tokenizer = load_tokenizer(assets / "plain")
    examples, collate = Examples(tokenizer, table, 16), collator(tokenizer.pad_token_id)
    set_seed(training.seed)
    model = AutoModelForSequenceClassification.from_pretrained(assets / "plain-student", num_labels=2).train()
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups["bias" not in name and "LayerNorm" not in name].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": training.weight_decay}, {"params": groups[False], "weight_decay": 0}]
    )
    batches = BucketedBatches(examples.lengths, training.batch_size, training.seed).global_batches()
    assert [len(batch) for batch in batches] == [8, 8, 8, 8, 8, 4]
    rates = [training.learning_rate * factor for factor in (0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)]  # 3 steps of warm-up
    losses, norms = [], []
    for rate, rows in zip(rates, batches, strict=True):
        batch = collate([examples[row] for row in rows])
        targets = batch.pop("teacher_logits")
        del batch["labels"]
        loss = (model(**batch).logits - targets).square().sum() / len(rows)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        losses.append(loss.item())

    assert min(norms) > 1
    output = tmp_path / "out"
    np.testing.assert_allclose(history(output, "learning_rate"), rates, rtol=1e-6)
    np.testing.assert_allclose(history(output), losses, rtol=1e-5)
    np.testing.assert_allclose(history(output, "grad_norm"), norms, rtol=1e-4)
    trained = AutoModelForSequenceClassification.from_pretrained(output)
    kept = model.state_dict()  # one epoch: the last weights are the best
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(tensor, kept[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stage", stages.STAGES)
def test_same_seed_same_bytes_and_only_the_model_is_left(assets, tmp_path, stage):
    for name in ("one", "two"):
        stages.STAGES[stage](assets, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {path.name for path in (tmp_path / "one").iterdir()} == FINAL[stage]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    stages.STAGES[stage](assets, tmp_path / "other", training=replace(TRAINING, seed=8))
    assert contents(tmp_path / "one")["model.safetensors"] != contents(tmp_path / "other")["model.safetensors"]


def test_an_older_model_is_replaced_whole(assets, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pytorch_model.bin").write_text("of an older run")
    stages.prediction(assets, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FINAL["prediction"]


@pytest.mark.parametrize("stage", stages.STAGES)
def test_tokenizer_is_saved_without_padding_and_truncation(assets, tmp_path, stage):
    stages.STAGES[stage](assets, tmp_path / "out", training=replace(TRAINING, epochs=1))
    tokenizer = load_tokenizer(tmp_path / "out").backend_tokenizer
    saved = (tmp_path / "out" / "tokenizer.json").read_text().replace(" ", "").replace("\n", "")
    assert '"truncation":null' in saved
    assert '"padding":null' in saved
    assert tokenizer.encode("the film").tokens == ["[CLS]", "the", "film", "[SEP]"]


@pytest.mark.parametrize("stage", ["general", "intermediate"])
def test_features_come_nearer(assets, tmp_path, stage):
    stages.STAGES[stage](assets, tmp_path / "out", training=replace(TRAINING, epochs=6))
    losses = history(tmp_path / "out")
    assert losses[-1] < 0.75 * losses[0]


def test_bf16_is_near_fp32_but_not_it(assets, tmp_path):
    stages.intermediate(assets, tmp_path / "fp32", base="plain")
    stages.intermediate(assets, tmp_path / "bf16", base="plain", training=replace(TRAINING, precision="bf16"))
    full, half = history(tmp_path / "fp32"), history(tmp_path / "bf16")
    assert full != half
    np.testing.assert_allclose(half, full, rtol=0.03)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_all_that_the_loss_computes_has_the_precision(assets, tmp_path, precision, dtype):
    """Not the student's forward pass alone: the teacher's, inside the loss, is the larger one."""
    seen = []

    def loss(model, batch):
        seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return model(batch["input_ids"].float()).square().mean()

    loop.fit(
        torch.nn.Linear(4, 1),
        Sequences(np.ones((8, 4), np.int32)),
        loss=loss,
        training=replace(TRAINING, epochs=1, precision=precision),
        pad_token_id=0,
        checkpoints=tmp_path,
        inputs="",
    )
    assert seen == [dtype]


@pytest.mark.parametrize(
    ("schedule", "ratio", "rates"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1, 1]),
        ("constant", 0.34, [0, 1 / 3, 2 / 3, 1, 1, 1]),
        ("linear", 1.0, [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]),  # the whole run, not one step
        ("linear", 0.0, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", 0.0, [(1 + np.cos(np.pi * step / 6)) / 2 for step in range(6)]),
    ],
)
def test_schedules(assets, tmp_path, schedule, ratio, rates):
    training = replace(TRAINING, epochs=1, schedule=schedule, warmup_ratio=ratio, checkpoint_steps=1)
    stages.general(assets, tmp_path / "out", training=training)
    np.testing.assert_allclose(
        history(tmp_path / "out", "learning_rate"), np.array(rates) * training.learning_rate, rtol=1e-6, atol=1e-12
    )


def test_last_step_is_in_the_history(assets, tmp_path):
    stages.general(assets, tmp_path / "out", training=replace(TRAINING, epochs=1, checkpoint_steps=4))
    assert history(tmp_path / "out", "step") == [4, 6]


def test_a_loss_that_is_no_number_stops_the_run(assets, tmp_path):
    training = replace(TRAINING, learning_rate=1e30, warmup_ratio=0.0)
    with pytest.raises(UserError, match="the loss is not a finite number at step 2: lower learning_rate"):
        stages.general(assets, tmp_path / "out", training=training)
    assert not (tmp_path / "out").exists()
