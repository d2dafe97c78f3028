"""One training stage of each kind at tiny size, as a command, to be killed or started under torchrun.

`python -m tests.distillation.stages NAME,NAME ASSETS OUTPUT BASE '{"batch_size": 4}'`: writes OUTPUT/NAME; the last
changes the training.
"""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from confidistill.distillation.arguments import Training
from confidistill.distillation.finetuning import finetune_teacher
from confidistill.distillation.general import distill_general
from confidistill.distillation.intermediate import distill_intermediate
from confidistill.distillation.prediction import distill_prediction
from confidistill.distillation.selection import Stop
from confidistill.distillation.student import StudentShape
from tests import tiny

LABELS = ["bad", "good"]
SHAPE = StudentShape(layers=2, hidden_size=16, intermediate_size=32, attention_heads=2)
TRAINING = Training(
    epochs=2,
    batch_size=8,
    learning_rate=3e-3,
    weight_decay=1e-2,
    warmup_ratio=0.1,
    schedule="linear",
    precision="fp32",
    seed=7,
    checkpoint_steps=2,
)
ROWS = 44  # not a multiple of the batch size: every epoch ends with half a batch


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = random.Random(seed)
    labels = [index % 2 for index in range(rows)]
    return pd.DataFrame({"text": [tiny.sentence(rng, label) for label in labels], "label": labels})


def write_assets(folder: Path) -> Path:
    """What the stages start from."""
    for name in ("base", "plain"):
        tiny.write_model(folder / name)
        _spread_scores(folder / name / "model.safetensors")
    config = json.loads((folder / "plain" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "plain" / "config.json").write_text(json.dumps(config))
    train, dev = table(ROWS, seed=1), table(30, seed=2)
    for name, rows in (("train", train), ("dev", dev)):
        logits = np.random.default_rng(0).normal(0, 1, (len(rows), 2)).astype(np.float32)
        logits[np.arange(len(rows)), rows["label"]] += 3
        rows.assign(logit0=logits[:, 0], logit1=logits[:, 1]).to_parquet(folder / f"{name}.parquet")
    (folder / "corpus.txt").write_text("\n".join(table(120, seed=3)["text"]) + "\n")
    for name in ("base", "plain"):
        general(folder, folder / f"{name}-student", base=name, training=replace(TRAINING, epochs=1))
    return folder


def _spread_scores(weights: Path) -> None:
    """Make queries and keys large, so that attention scores weigh in a loss as those of a trained model do."""
    state = load_file(weights)
    for name in state:
        if name.endswith(("query.weight", "key.weight")):
            state[name] *= 10
    save_file(state, weights, {"format": "pt"})


def checkpoints(output: Path) -> Path:
    return output.with_name(f"{output.name}.checkpoints")


def history(output: Path, key: str = "loss") -> list[float]:
    """The logged values of `key`, in order."""
    return [row[key] for row in json.loads((output / "history.json").read_text()) if key in row]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a model folder but its card, which names the folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "README.md"}


def teacher(assets: Path, output: Path, *, base: str = "base", training: Training = TRAINING) -> None:
    finetune_teacher(
        assets / base,
        pd.read_parquet(assets / "train.parquet")[["text", "label"]],
        pd.read_parquet(assets / "dev.parquet")[["text", "label"]],
        output,
        label_names=LABELS,
        max_length=16,
        training=training,
        metric="accuracy",
        checkpoints=checkpoints(output),
    )


def general(
    assets: Path, output: Path, *, base: str = "base", training: Training = TRAINING, feature_cache_gib: float = 1.0
) -> None:
    distill_general(
        assets / base,
        assets / "corpus.txt",
        output,
        shape=SHAPE,
        initialisation="random",
        max_length=12,
        sequences=ROWS,
        training=training,
        feature_cache_gib=feature_cache_gib,
        checkpoints=checkpoints(output),
    )


def intermediate(
    assets: Path,
    output: Path,
    *,
    base: str = "base",
    training: Training = TRAINING,
    variants: int | None = None,
    feature_cache_gib: float = 1.0,
) -> None:
    distill_intermediate(
        assets / base,
        assets / f"{base}-student",
        pd.read_parquet(assets / "train.parquet"),
        output,
        max_length=16,
        training=training,
        variants=variants,
        feature_cache_gib=feature_cache_gib,
        checkpoints=checkpoints(output),
    )


def prediction(
    assets: Path,
    output: Path,
    *,
    base: str = "base",
    training: Training = TRAINING,
    average: int = 1,
    variants: int | None = None,
    stop: Stop | None = None,
) -> None:
    distill_prediction(
        assets / f"{base}-student",
        pd.read_parquet(assets / "train.parquet"),
        pd.read_parquet(assets / "dev.parquet"),
        output,
        label_names=LABELS,
        max_length=16,
        training=training,
        metric="mcc",
        average=average,
        variants=variants,
        stop=stop,
        checkpoints=checkpoints(output),
    )


def stopping(assets: Path, output: Path, *, base: str = "base", training: Training = TRAINING) -> None:
    """Stage 2 that ends after the first of its epochs, whose sigma is always small enough."""
    prediction(assets, output, base=base, training=training, stop=Stop(sigma=0.99))


STAGES: dict[str, Callable[..., None]] = {
    "teacher": teacher,
    "general": general,
    "intermediate": intermediate,
    "prediction": prediction,
}

if __name__ == "__main__":
    names, assets, output, base, changes = sys.argv[1:]
    for name in names.split(","):
        (STAGES | {"stopping": stopping})[name](
            Path(assets), Path(output) / name, base=base, training=replace(TRAINING, **json.loads(changes))
        )
