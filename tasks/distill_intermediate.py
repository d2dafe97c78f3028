"""Stage 1 of task distillation: attention scores and hidden states, where teacher and student have comparable ones."""

import shutil
from pathlib import Path

from confidistill.distillation.compatibility import why_no_features
from confidistill.distillation.processes import is_writer
from confidistill.files import atomic_folder
from confidistill.imports import importing
from tasks.entry import checkpoints, terms, training, training_stage
from tasks.params import Params
from tasks.tables import distillation_text


def distil(params: Params, task: str, student: str, output: Path, kept: Path, seed: int | None = None) -> None:
    """Write the intermediate student to `output`, its checkpoints kept in `kept`; `seed` in place of the settings'."""
    teacher, start = Path("models/teacher") / task, Path("models/general") / student
    if why := why_no_features(teacher, start, params.student(student).layer_map):
        if is_writer():
            print(f"{task}, {student}: stage 1 is left out, stage 2 starts from the general student: {why}")
            with atomic_folder(output) as folder:
                shutil.copytree(start, folder, dirs_exist_ok=True)
        return
    with importing():
        from confidistill.distillation.intermediate import distill_intermediate

    settings = params.intermediate_of(task, student)
    distill_intermediate(
        teacher,
        start,
        distillation_text(task),
        output,
        max_length=params.task(task).max_length,
        layer_map=params.student(student).layer_map,
        padding=settings.padding,
        feature_cache_gib=settings.feature_cache_gib,
        variants=settings.variants,
        terms=terms(settings.loss),
        training=training(settings, seed),
        checkpoints=kept,
    )


@training_stage
def main(params: Params, task: str, student: str) -> None:
    output = Path("models/intermediate") / task / student
    distil(params, task, student, output, checkpoints("distill_intermediate", task, student))


if __name__ == "__main__":
    main()
