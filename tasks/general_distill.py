"""Distil the un-fine-tuned base model on plain text, import a published general student, or only build one."""

from functools import partial
from pathlib import Path

from confidistill.imports import importing
from tasks.entry import checkpoints, terms, training, training_stage
from tasks.params import Params


def pack(params: Params, student: str) -> None:
    """Pack the corpus before there are several processes: all but one would wait, and give up after ten minutes."""
    from confidistill.distillation.packing import pack_corpus, packed_beside

    if params.reads_corpus(student):
        settings = params.general_of(student)
        pack_corpus(
            Path("models/base"),
            Path("data/corpus"),
            packed_beside(checkpoints("general_distill", student)),
            max_length=settings.max_length,
            sequences=settings.sequences,
        )


@partial(training_stage, before=pack)
def main(params: Params, student: str) -> None:
    with importing():
        from confidistill.distillation.general import distill_general, start_student
        from confidistill.distillation.published import import_checkpoint
        from confidistill.distillation.student import StudentShape

    base, output = Path("models/base"), Path("models/general") / student
    shape = params.student(student)
    sizes = StudentShape(shape.layers, shape.hidden_size, shape.intermediate_size, shape.attention_heads)
    if shape.initialisation == "checkpoint":
        import_checkpoint(Path("models/checkpoint") / student, base, output, shape=sizes)
        return
    settings = params.general_of(student)
    if settings.sequences == 0:
        start_student(
            base,
            output,
            shape=sizes,
            initialisation=shape.initialisation,
            layer_map=shape.layer_map,
            seed=settings.seed,
        )
        return
    distill_general(
        base,
        Path("data/corpus"),
        output,
        shape=sizes,
        initialisation=shape.initialisation,
        layer_map=shape.layer_map,
        max_length=settings.max_length,
        sequences=settings.sequences,
        padding=settings.padding,
        feature_cache_gib=settings.feature_cache_gib,
        terms=terms(settings.loss),
        training=training(settings),
        checkpoints=checkpoints("general_distill", student),
    )


if __name__ == "__main__":
    main()
