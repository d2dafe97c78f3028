"""How many rows the augmentation makes of a train set, how fast, and in how much memory.

    python -m bench.augment data/raw/RTE/train.parquet --tokenizer models/base --vectors data/vectors \
        --mlm models/mlm --variants 30

Prints one JSON object. `rows` is what the stage `augment` writes, `cap` what N variants a sentence allow.
`rows_as_reference` estimates what TinyBERT's data_augmentation.py would have written with the same draws: it
writes a pair's original once for each of its two sentences, and keeps a draw that changes no word where the
joined words differ from the text (expected number; candidates equal to their own word would add to it).
"""

import argparse
import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from transformers import PreTrainedTokenizerBase

from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import replaceable, write_augmented
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.augmentation.vectors import load_vectors
from confidistill.text.tokens import load_tokenizer


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="Parquet table with text, [text_pair], label")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--mlm", type=Path)
    parser.add_argument("--variants", type=int, required=True)
    parser.add_argument("--candidates", type=int, default=15)
    parser.add_argument("--probability", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()

    table = pd.read_parquet(arguments.train)
    tokenizer = load_tokenizer(arguments.tokenizer)
    masked_lm = MaskedLM(arguments.mlm) if arguments.mlm else None
    settings = {name: getattr(arguments, name) for name in ("variants", "candidates", "probability", "seed")}
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        rows = write_augmented(
            table,
            Path(folder) / "augmented.parquet",
            architecture=BERT,
            tokenizer=tokenizer,
            vectors=load_vectors(arguments.vectors),
            masked_lm=masked_lm,
            workers=arguments.workers,
            **settings,
        )
    seconds = time.perf_counter() - began
    columns = [column for column in ("text", "text_pair") if column in table]
    kept = sum(
        unchanged_draws(table[column], tokenizer, arguments.variants, arguments.probability) for column in columns
    )
    result = {
        "train": len(table),
        **settings,
        "rows": rows,
        "cap": len(table) * (1 + arguments.variants * len(columns)),
        "rows_as_reference": round(rows + len(table) * (len(columns) - 1) + kept),
        "cap_as_reference": len(table) * (1 + arguments.variants) * len(columns),
        "seconds": round(seconds, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
