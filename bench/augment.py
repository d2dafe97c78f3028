"""Augmentation beside the reference's way, in rows/s; how many rows it makes, and in how much memory.

    python -m bench.augment [--glue FOLDER] [--task NAME ...] [--rows 2000] [--mlm FOLDER] [--variants 1] [--rounds 3]

Of a task's train rows, by default those of data/raw in a clone that ran the quickstart, with its vectors. The
reference's way (bench/peers/word_by_word.py) takes `--slow-rows` of them, since its speed does not depend on how many,
and ours gains by meeting words again. Rows/s are rows of the train set. `--slow-rows 0` leaves the reference out; then
and with `--rows` beyond a train set's, `made` in augment.json tells what the stage writes for the whole of it: `rows`,
`cap`, what N variants a sentence allow, and `rows_as_reference`, an estimate of what TinyBERT's data_augmentation.py
would have written with the same draws: it writes a pair's original once for each of its two sentences, and keeps a draw
that changes no word where the joined words differ from the text (expected number; candidates equal to their own word
would add to it).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from bench.options import add_text, needed, parser, texts
from bench.peers import word_by_word
from bench.processes import own_peak_mib
from bench.results import Report
from bench.timing import in_turn, seconds
from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import replaceable, write_augmented
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.augmentation.vectors import load_vectors
from confidistill.errors import exits_cleanly
from confidistill.text.tokens import load_tokenizer

SLOW = "one word at a time"


def ours(table: pd.DataFrame, settings: dict[str, Any], rows: list[int]) -> None:
    """As the stage does it, file and all; adds the number of rows to `rows`."""
    with TemporaryDirectory() as folder:
        rows.append(write_augmented(table, Path(folder) / "augmented.parquet", architecture=BERT, **settings))


def slow(table: pd.DataFrame, settings: dict[str, Any]) -> None:
    for _ in word_by_word.augment(table, **settings):
        pass


def speed(table: pd.DataFrame, work: Callable[[pd.DataFrame], object]) -> float:
    """Rows a second."""
    return len(table) / seconds(lambda: work(table))


def counts(
    table: pd.DataFrame, rows: int, tokenizer: PreTrainedTokenizerBase, variants: int, p: float
) -> dict[str, int]:
    """Rows, and what they would be as the reference counts."""
    columns = [column for column in ("text", "text_pair") if column in table]
    kept = sum(unchanged_draws(table[column], tokenizer, variants, p) for column in columns)
    return {
        "train": len(table),
        "rows": rows,
        "cap": len(table) * (1 + variants * len(columns)),
        "rows_as_reference": round(rows + len(table) * (len(columns) - 1) + kept),
        "cap_as_reference": len(table) * (1 + variants) * len(columns),
    }


def unchanged_draws(
    sentences: pd.Series, tokenizer: PreTrainedTokenizerBase, variants: int, probability: float
) -> float:
    """Expected number of sentences with a draw that changes no word, among those not already in joined words.

    sum of 1 − (1 − (1 − p)^k)^N over the sentences, k their replaceable words.
    """
    expected = 0.0
    for text in sentences:
        words = BERT.words(tokenizer, text)
        if " ".join(words) != text:
            expected += 1 - (1 - (1 - probability) ** len(replaceable(words))) ** variants
    return expected


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    add_text(options, rows=2000)
    options.add_argument("--slow-rows", type=int, default=20)
    options.add_argument("--tokenizer", type=Path, default=Path("models/base"))
    options.add_argument("--vectors", type=Path, default=Path("data/vectors"))
    options.add_argument("--mlm", type=Path, help="a masked LM; default: none, vectors for every word")
    options.add_argument("--variants", type=int, default=1)
    options.add_argument("--candidates", type=int, default=15)
    options.add_argument("--probability", type=float, default=0.4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=42)
    asked = options.parse_args(arguments)
    tables = texts(asked.glue, asked.task, asked.rows, asked.seed)
    draws = {name: getattr(asked, name) for name in ("variants", "candidates", "probability")}
    tokenizer = load_tokenizer(needed(asked.tokenizer))
    settings = draws | {
        "tokenizer": tokenizer,
        "vectors": load_vectors(needed(asked.vectors)),
        "masked_lm": MaskedLM(needed(asked.mlm)) if asked.mlm else None,
        "seed": asked.seed,
    }
    mlm = asked.mlm.name if asked.mlm else "none"
    report = Report("augment", dtype="fp32", seed=asked.seed, mlm=mlm, rows=asked.rows, **draws)
    made = {}
    for task, table in tables.items():
        rows: list[int] = []
        few = table.head(asked.slow_rows)
        works = {"ours": partial(speed, table, partial(ours, settings=settings, rows=rows))}
        if len(few):
            works[SLOW] = partial(speed, few, partial(slow, settings=settings))
        found = in_turn(works, asked.rounds)
        if len(few):
            report.beside(task, found["ours"], "rows/s", SLOW, found[SLOW])
        else:
            report.figure(task, sorted(found["ours"])[asked.rounds // 2], "rows/s")
        made[task] = counts(table, rows[0], tokenizer, asked.variants, asked.probability)
    report.figure("peak memory", own_peak_mib(), "MiB")
    report.write(made=made)


if __name__ == "__main__":
    main()
