"""The teacher's logits in evaluation mode, computed once for every student, trial and evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd

from confidistill.files import atomic_folder
from confidistill.text.mapped import read_mapped
from confidistill.text.rows import where
from tasks.entry import gpu_stage
from tasks.params import Params
from tasks.tables import TRANSFER, label_names, splits


@gpu_stage
def main(params: Params, task: str) -> None:
    from confidistill.classifiers import open_classifier

    settings = params.task(task)
    teacher = open_classifier(Path("models/teacher") / task, max_length=settings.max_length)
    order = [teacher.class_names.index(name) for name in label_names(task)]

    def logits_of(table: pd.DataFrame) -> np.ndarray:
        return teacher.logits(table)[:, order]

    with atomic_folder(Path("data/teacher") / task) as folder:
        for split in splits(task):
            table = read_mapped(Path("data/raw") / task / f"{split}.parquet")
            _write(folder / f"{split}.parquet", table, logits_of(table))

        train = read_mapped(folder / "train.parquet")
        augmented = read_mapped(Path("data/augmented") / f"{task}.parquet")
        # The first row of an origin is that row of train, unchanged: its logits are known.
        logits = train.filter(regex=r"^logit\d").to_numpy(np.float32)[augmented["origin"]]
        varied = augmented["origin"].duplicated().to_numpy()
        if varied.any():
            logits[varied] = logits_of(where(augmented, varied))
        _write(folder / "augmented.parquet", augmented, logits)

        if (transfer := Path("data/transfer") / task / TRANSFER).exists():
            table = read_mapped(transfer)
            _write(folder / TRANSFER, table, logits_of(table))


def _write(path: Path, table: pd.DataFrame, logits: np.ndarray) -> None:
    columns = {f"logit{index}": logits[:, index] for index in range(logits.shape[1])}
    table.assign(**columns).to_parquet(path, index=False)


if __name__ == "__main__":
    main()
