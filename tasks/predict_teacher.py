"""The teacher's logits in evaluation mode, computed once for every student, trial and evaluation."""

from pathlib import Path

import pandas as pd

from confidistill.files import atomic_folder
from tasks.entry import gpu_stage
from tasks.params import Params
from tasks.tables import splits


@gpu_stage
def main(params: Params, task: str) -> None:
    from confidistill.classifiers import open_classifier

    settings = params.task(task)
    tables = {split: Path(f"data/raw/{task}/{split}.parquet") for split in splits(task)}
    if task in params.augment:
        tables["augmented"] = Path("data") / settings.distil_on
    teacher = open_classifier(Path("models/teacher") / task, max_length=settings.max_length)
    with atomic_folder(Path("data/teacher") / task) as folder:
        for name, path in tables.items():
            table = pd.read_parquet(path)
            logits = teacher.logits(table)
            for index in range(logits.shape[1]):
                table[f"logit{index}"] = logits[:, index]
            table.to_parquet(folder / f"{name}.parquet", index=False)


if __name__ == "__main__":
    main()
