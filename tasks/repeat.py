"""Both stages of task distillation once more, with another seed; the report measures what came out."""

from pathlib import Path

from confidistill.distillation.processes import is_writer
from confidistill.imports import importing
from tasks import distill_intermediate, distill_prediction
from tasks.entry import checkpoints, training_stage
from tasks.params import Params
from tasks.predictions import write_logits
from tasks.results import SEEDS


@training_stage
def main(params: Params, task: str, student: str, seed: str) -> None:
    with importing():
        from confidistill.distillation.training import writer_first

    folder = checkpoints("repeat", task, student, seed)
    start, output = folder / "intermediate", Path("models/seeds") / task / student / seed
    distill_intermediate.distil(params, task, student, start, folder / "1", int(seed))
    with writer_first():  # it has written what every process goes on from
        pass
    distill_prediction.distil(params, task, student, start, output, folder / "2", int(seed))
    if is_writer():
        write_logits(params, task, output, SEEDS / f"{task}-{student}-{seed}")


if __name__ == "__main__":
    main()
