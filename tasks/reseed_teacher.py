"""The teacher fine-tuned once more with another seed, against itself: how far it is from its own second draw.

That distance is a floor: a student as near to its teacher as the teacher is to itself cannot be asked to be nearer on
text that nobody trained on.
"""

from pathlib import Path

from confidistill.distillation.processes import is_writer
from tasks import finetune_teacher
from tasks.entry import checkpoints, training_stage
from tasks.params import Params
from tasks.predictions import write_logits
from tasks.results import FLOOR


@training_stage
def main(params: Params, task: str, seed: str) -> None:
    output = Path("models/reseeded") / task / seed
    finetune_teacher.finetune(params, task, output, checkpoints("reseed_teacher", task, seed), int(seed))
    if is_writer():
        write_logits(params, task, output, FLOOR / f"{task}-{seed}")


if __name__ == "__main__":
    main()
