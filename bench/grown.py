"""The work of each stage on a table of rows, for `bench.growth`; run as a process of its own, it prints seconds.

python -m bench.grown STAGE ASSETS TABLE
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from bench.timing import seconds
from confidistill.text.mapped import read_mapped

if TYPE_CHECKING:
    from confidistill.distillation.arguments import Training

LENGTH = 128


def augment(assets: Path, table: Path, output: Path, *, mlm: bool = False) -> Callable[[], object]:
    from confidistill.architectures import architecture_in
    from confidistill.augmentation.augment import write_augmented
    from confidistill.augmentation.masked_lm import MaskedLM
    from confidistill.augmentation.vectors import load_vectors
    from confidistill.text.tokens import load_tokenizer

    return lambda: write_augmented(
        pd.read_parquet(table), output, architecture=architecture_in(assets / "teacher"),
        tokenizer=load_tokenizer(assets / "teacher"), vectors=load_vectors(assets / "vectors"),
        masked_lm=MaskedLM(assets / "mlm") if mlm else None, variants=1, seed=0,
    )  # fmt: skip


def intermediate(assets: Path, table: Path, output: Path) -> Callable[[], object]:
    from confidistill.distillation.intermediate import distill_intermediate

    return lambda: distill_intermediate(
        assets / "teacher", assets / "student", read_mapped(table), output, max_length=LENGTH,
        training=_training(), checkpoints=output.with_name("checkpoints"),
    )  # fmt: skip


def prediction(assets: Path, table: Path, output: Path) -> Callable[[], object]:
    from confidistill.distillation.prediction import distill_prediction

    dev = read_mapped(table).head(100)
    return lambda: distill_prediction(
        assets / "student", read_mapped(table), dev, output, label_names=["0", "1"], max_length=LENGTH,
        training=_training(), metric="accuracy", checkpoints=output.with_name("checkpoints"),
    )  # fmt: skip


def evaluate(assets: Path, table: Path, output: Path) -> Callable[[], object]:
    from confidistill.classifiers.huggingface import HuggingFaceClassifier
    from confidistill.confidence.measures import evaluate
    from confidistill.confidence.predictions import from_logits

    def work() -> object:
        rows = read_mapped(table)
        labels = rows["label"].to_numpy()
        logits = HuggingFaceClassifier(assets / "teacher", max_length=LENGTH).logits(rows)
        return evaluate(from_logits(rows[["logit0", "logit1"]].to_numpy(), labels), from_logits(logits, labels))

    return work


def check(assets: Path, table: Path, output: Path) -> Callable[[], object]:
    """The table against itself: reading and measuring."""
    from confidistill.confidence.checking import check_files

    return lambda: check_files(table, [table])


def _training() -> Training:
    from confidistill.distillation.arguments import Training

    return Training(
        epochs=1, batch_size=32, learning_rate=1e-3, weight_decay=1e-4, warmup_ratio=0.1, schedule="linear",
        precision="fp32", seed=0, checkpoint_steps=200,
    )  # fmt: skip


STAGES: dict[str, Callable[[Path, Path, Path], Callable[[], object]]] = {
    "augment": augment,
    "augment by a masked LM": partial(augment, mlm=True),
    "stage 1": intermediate,
    "stage 2": prediction,
    "evaluate": evaluate,
    "check": check,
}

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        print(seconds(STAGES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), Path(folder) / "output")))
