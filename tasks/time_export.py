"""How small and fast a student is as it is deployed, beside itself and its teacher: measured on this machine."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from confidistill.files import atomic_file, json_text
from confidistill.teachers.lookup import TABLE
from tasks.entry import stage
from tasks.params import Params
from tasks.results import COSTS
from tasks.tables import teacher_table

ROWS = 200


@stage
def main(params: Params, task: str, student: str, variant: str) -> None:
    from confidistill.export.cost import costs

    folders = {
        "student": Path("models/student") / task / student,
        "deployed": Path("models/export") / task / student / variant,
    }
    teacher = Path("models/teacher") / task
    if not (teacher / TABLE).is_file():  # a table of predictions has no size and takes no time
        folders = {"teacher": teacher} | folders
    table = teacher_table(task, "train")
    chosen = np.linspace(0, len(table) - 1, min(ROWS, len(table))).astype(int)
    measured = costs(folders, table.iloc[chosen], max_length=params.task(task).max_length)
    with atomic_file(COSTS / f"{task}-{student}-{variant}.json") as path:
        path.write_text(json_text({name: asdict(cost) for name, cost in measured.items()}))


if __name__ == "__main__":
    main()
