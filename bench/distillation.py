"""Both stages of task distillation as configured here, against the reference's way of doing them, as a ratio.

    python -m bench.distillation TABLE --text COLUMN --tokenizer DIR [--rows 512] [--rounds 3] [--json FILE]

Random weights of MiniLM's shape and of S_3L's or S_2L's; the text of TABLE (.tsv, .csv or .parquet); batches of 32 in
fp32; text is tokenised beforehand for both. Ours is the pipeline's own loop, checkpoints included, and in stage 2 the
teacher's logits, computed once for three epochs. The reference's way, as TinyBERT's task_distill.py: every text padded
to 128 tokens, the teacher run for every batch of both stages, AdamW's plain loop, the loss read after each step. The
two are timed in turn, and the ratio is the median of the rounds' ratios.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification

from confidistill.distillation.arguments import Training
from confidistill.distillation.data import Batch, Examples, collator
from confidistill.distillation.features import feature_loss
from confidistill.distillation.inference import logits_of
from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.scores import capture_scores, forward
from confidistill.distillation.student import StudentShape, new_student
from confidistill.distillation.terms import prediction_loss
from confidistill.distillation.training import fit
from confidistill.text.tokens import load_tokenizer

SHAPES = {"S_3L": (3, 384, 1536), "S_2L": (2, 156, 600)}
TEACHER_LAYERS, HEADS, BATCH, LENGTH, EPOCHS = 6, 12, 32, 128, 3
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def classifier(layers: int, hidden: int, inner: int) -> BertForSequenceClassification:
    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": inner}
    return BertForSequenceClassification(BertConfig(**sizes, num_attention_heads=HEADS))


def ours(stage: int, student: str, examples: Examples, folder: Path) -> None:
    """One epoch as the pipeline runs it."""
    teacher, shape = classifier(TEACHER_LAYERS, 384, 1536), StudentShape(*SHAPES[student], HEADS)
    layers = uniform_layer_map(TEACHER_LAYERS, shape.layers)
    training = Training(
        epochs=1, batch_size=BATCH, learning_rate=5e-5, weight_decay=1e-4, warmup_ratio=0.1, schedule="linear",
        precision="fp32", seed=0, checkpoint_steps=500,
    )  # fmt: skip
    if stage == 1:
        model: torch.nn.Module = new_student(teacher.config, shape)
        loss = feature_loss(teacher.bert, model, layers, "ignore")
    else:
        model = classifier(*SHAPES[student])
        share = Examples.__new__(Examples)  # what one epoch of three owes to the teacher's one pass
        share.input_ids, share.token_type_ids = examples.input_ids[::EPOCHS], examples.token_type_ids[::EPOCHS]
        share.labels = share.teacher_logits = None
        logits_of(teacher, share, pad_token_id=0)

        def loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            logits = model(**{name: batch[name] for name in INPUTS}).logits
            return prediction_loss(logits, batch["teacher_logits"], batch["labels"])

    fit(model, examples, loss=loss, training=training, pad_token_id=0, checkpoints=folder, inputs="bench")


def reference(stage: int, student: str, examples: Examples, folder: Path) -> None:
    """One epoch as the reference runs it."""
    teacher, shape = classifier(TEACHER_LAYERS, 384, 1536), StudentShape(*SHAPES[student], HEADS)
    layers = uniform_layer_map(TEACHER_LAYERS, shape.layers)
    model = new_student(teacher.config, shape) if stage == 1 else classifier(*SHAPES[student])
    for one in (teacher, model.encoder) if stage == 1 else (teacher,):
        capture_scores(one)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=1e-4, foreach=False)
    for batch in padded(examples):
        inputs = {name: batch[name] for name in INPUTS}
        with torch.no_grad():
            target = forward(teacher, **inputs)
        if stage == 1:
            hidden, scores = model(**inputs)
            loss = sum(functional.mse_loss(scores[i], target.scores[j]) for i, j in enumerate(layers.attention))
            loss = loss + sum(
                functional.mse_loss(hidden[i], target.hidden_states[j]) for i, j in enumerate(layers.hidden)
            )
        else:
            logits = model(**inputs).logits
            loss = -(target.logits.softmax(-1) * logits.log_softmax(-1)).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
    torch.save(model.state_dict(), folder / "model.bin")


def padded(examples: Examples) -> Iterator[Batch]:
    """Batches in random order, every text padded to `LENGTH`."""
    collate = collator(0)
    for rows in np.random.default_rng(0).permutation(len(examples)).reshape(-1, BATCH):
        batch = collate([examples[int(row)] for row in rows])
        missing = LENGTH - batch["input_ids"].shape[1]
        yield {name: functional.pad(batch[name], (0, missing)) for name in INPUTS}


def seconds(way: Callable[[int, str, Examples, Path], None], stage: int, student: str, examples: Examples) -> float:
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        way(stage, student, examples, Path(folder))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--text-pair")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=512, help="drawn by seed; a multiple of 32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--student", choices=SHAPES, action="append", help="default: both")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.rows % BATCH:
        parser.error(f"--rows must be a multiple of {BATCH}")
    if options.table.suffix == ".parquet":
        table = pd.read_parquet(options.table)
    else:
        table = pd.read_csv(options.table, sep="\t" if options.table.suffix == ".tsv" else ",", quoting=3)
    columns = {options.text: "text"} | ({options.text_pair: "text_pair"} if options.text_pair else {})
    table = table[list(columns)].rename(columns=columns).dropna().sample(options.rows, random_state=0)
    examples = Examples(
        load_tokenizer(options.tokenizer), table.assign(label=0, logit0=1.0, logit1=-1.0), max_length=LENGTH
    )
    found = []
    mean = sum(examples.lengths) / options.rows
    print(f"{options.rows} rows of {mean:.1f} tokens, batch {BATCH}, fp32, {torch.get_num_threads()} threads\n")
    print("| student | stage | ours, examples/s | reference's way | × |\n|---|---|--:|--:|--:|")
    for student in options.student or SHAPES:
        for stage in (1, 2):
            pairs = [
                [seconds(way, stage, student, examples) for way in (ours, reference)] for _ in range(options.rounds)
            ]
            ratio = statistics.median(theirs / own for own, theirs in pairs)
            speeds = [options.rows / statistics.median(side) for side in zip(*pairs, strict=True)]
            found.append(
                {"student": student, "stage": stage, "ours": speeds[0], "reference": speeds[1], "ratio": ratio}
            )
            print(f"| {student} | {stage} | {speeds[0]:.1f} | {speeds[1]:.1f} | {ratio:.1f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "tokens": mean, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
