"""A student as it is deployed, and what that says of each split; the report judges it."""

from pathlib import Path

from tasks.entry import stage
from tasks.params import Params
from tasks.predictions import write_logits
from tasks.results import VARIANTS

EXPORTED = Path("models/export")


@stage
def main(params: Params, task: str, student: str, variant: str) -> None:
    from confidistill.export.variants import export, variant_named

    output = EXPORTED / task / student / variant
    export(Path("models/student") / task / student, variant_named(variant), output)
    write_logits(params, task, output, VARIANTS / f"{task}-{student}-{variant}")


if __name__ == "__main__":
    main()
