"""Vary one task's training sentences with the masked LM and word vectors."""

from pathlib import Path

import pandas as pd

from confidistill.augmentation.augment import write_augmented
from confidistill.augmentation.vectors import load_vectors
from confidistill.text.tokens import load_tokenizer
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params, task: str) -> None:
    settings = params.augment[task]
    masked_lm = None
    if params.models.mlm:
        from confidistill.augmentation.masked_lm import MaskedLM

        masked_lm = MaskedLM(Path("models/mlm"))
    write_augmented(
        pd.read_parquet(f"data/raw/{task}/train.parquet"),
        Path(f"data/augmented/{task}.parquet"),
        tokenizer=load_tokenizer(Path("models/base")),
        vectors=load_vectors(Path("data/vectors")),
        masked_lm=masked_lm,
        **settings.model_dump(),
    )


if __name__ == "__main__":
    main()
