"""Vary one task's training sentences with the masked LM and word vectors."""

from pathlib import Path

import pandas as pd

from confidistill.files import atomic_file
from confidistill.imports import importing
from tasks.entry import gpu_stage
from tasks.params import Params


@gpu_stage
def main(params: Params, task: str) -> None:
    params.task(task)
    train, output = pd.read_parquet(f"data/raw/{task}/train.parquet"), Path(f"data/augmented/{task}.parquet")
    settings = params.augment[task]
    if settings is None:  # students learn from the training set as it is
        with atomic_file(output) as path:
            train.assign(origin=range(len(train))).to_parquet(path, index=False)
        return
    with importing():
        from confidistill.architectures import architecture_in
        from confidistill.augmentation.augment import write_augmented
        from confidistill.augmentation.vectors import load_vectors
        from confidistill.text.tokens import load_tokenizer

        if params.models.mlm:
            from confidistill.augmentation.masked_lm import MaskedLM

    base = Path("models/base")
    masked_lm = MaskedLM(Path("models/mlm")) if params.models.mlm else None
    write_augmented(
        train,
        output,
        architecture=architecture_in(base),
        tokenizer=load_tokenizer(base),
        vectors=load_vectors(Path("data/vectors")),
        masked_lm=masked_lm,
        **settings.model_dump(),
    )


if __name__ == "__main__":
    main()
