"""Stage 2 of task distillation: the prediction layer."""

from pathlib import Path

import pandas as pd

from confidistill.imports import importing
from tasks.entry import checkpoints, terms, training, training_stage
from tasks.params import Params
from tasks.tables import distillation_table, label_names, selection_split, teacher_table


def distil(
    params: Params,
    task: str,
    student: str,
    start: Path,
    output: Path,
    kept: Path,
    seed: int | None = None,
    *,
    table: pd.DataFrame | None = None,
) -> None:
    """Write the student that starts as the intermediate one in `start` to `output`; the rest as in stage 1.

    `table` in place of the task's own text (`distillation_table`).
    """
    with importing():
        from confidistill.distillation.prediction import distill_prediction
        from confidistill.distillation.selection import Stop

    settings = params.prediction_of(task, student)
    distill_prediction(
        start,
        distillation_table(task) if table is None else table,
        teacher_table(task, selection_split(task)),
        output,
        label_names=label_names(task),
        max_length=params.task(task).max_length,
        terms=terms(settings.loss),
        alpha=settings.alpha,
        temperature=settings.temperature,
        dropout=settings.dropout,
        keep=settings.keep,
        average=settings.average,
        variants=settings.variants,
        stop=Stop(**settings.stop.model_dump()) if settings.stop else None,
        metric=params.task(task).metric,
        selected_on=selection_split(task),
        training=training(settings, seed),
        checkpoints=kept,
    )


@training_stage
def main(params: Params, task: str, student: str) -> None:
    start, output = (Path("models") / kind / task / student for kind in ("intermediate", "student"))
    distil(params, task, student, start, output, checkpoints("distill_prediction", task, student))


if __name__ == "__main__":
    main()
