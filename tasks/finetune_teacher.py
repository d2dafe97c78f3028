"""Fine-tune the base model on one task, or take the teacher that is given for it."""

import shutil
from pathlib import Path

import pandas as pd

from confidistill.distillation.processes import is_writer
from confidistill.files import atomic_folder
from confidistill.imports import importing
from tasks.entry import checkpoints, training, training_stage
from tasks.none import is_none
from tasks.params import Params
from tasks.tables import label_names, selection_split


def finetune(params: Params, task: str, output: Path, kept: Path, seed: int | None = None) -> None:
    """Write a teacher to `output`, its checkpoints kept in `kept`; `seed` in place of the settings'."""
    with importing():
        from confidistill.distillation.finetuning import finetune_teacher

    data = Path("data/raw") / task
    settings = params.task(task)
    finetune_teacher(
        Path("models/base"),
        pd.read_parquet(data / "train.parquet"),
        pd.read_parquet(data / f"{selection_split(task)}.parquet"),
        output,
        label_names=label_names(task),
        max_length=settings.max_length,
        training=training(params.teacher_of(task), seed),
        checkpoints=kept,
        metric=settings.metric,
        selected_on=selection_split(task),
    )


@training_stage
def main(params: Params, task: str) -> None:
    given, output = Path("models/given") / task, Path("models/teacher") / task
    if not is_none(given):
        if is_writer():
            with atomic_folder(output) as folder:
                shutil.copytree(given, folder, dirs_exist_ok=True)
            print(f"{task}: the teacher is given (models.teachers.{task}): nothing is fine-tuned")
        return
    finetune(params, task, output, checkpoints("finetune_teacher", task))


if __name__ == "__main__":
    main()
