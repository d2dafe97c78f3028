"""The pairwise confidence difference of teacher and student, its spread, and the verdict."""

import json
from pathlib import Path
from typing import Any

from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.measures import headline
from confidistill.confidence.prediction_files import write_predictions
from confidistill.confidence.verdict import SIGMA
from confidistill.files import atomic_file, atomic_folder, json_text
from tasks.entry import gpu_stage
from tasks.judging import judged, wanted
from tasks.pairs import load_pair
from tasks.params import Params
from tasks.results import PLOTS, hashes
from tasks.tables import judged_splits


@gpu_stage
def main(params: Params, task: str, student: str) -> None:
    from confidistill.report import figures

    params.task(task)
    params.student(student)
    results, model = Path("results") / task / student, Path("models/student") / task / student
    measures: dict[str, Any] = {}
    judgement: dict[str, Any] = {}
    with atomic_folder(results / "predictions") as folder:
        for one in judged(params, task, model):
            write_predictions(folder / f"teacher-{one.split}.csv", one.teacher_logits, one.labels)
            write_predictions(folder / f"student-{one.split}.csv", one.logits, one.labels)
            measures[one.split] = wanted(params, task, one.evaluation)
            judgement = judgement or one.evaluation.judged  # train's, the first
    metrics = {split: headline(measures[split], params.property.protocol) for split in judged_splits(task)}
    trained_in = json.loads((model / "history.json").read_text())[0]
    needed = {"rows_needed": rows_needed(params.property.kappa)}
    for name, content in {"metrics": metrics | trained_in, "measures": measures | needed}.items():
        with atomic_file(results / f"{name}.json") as path:
            path.write_text(json_text(content | judgement))
    print(_told(task, student, metrics | judgement), flush=True)  # the figures take a while

    pair = load_pair(task, student)
    with atomic_folder(PLOTS / f"{task}-{student}") as folder:
        for name, records in figures.records(pair).items():
            records.to_csv(folder / f"{name}.csv", index=False)
        (folder / "results.sha256").write_text(hashes(task, student))
    with atomic_folder(results / "figures") as folder:
        for name, figure in figures.draw(pair).items():
            figures.save_figure(figure, folder / name)


def _told(task: str, student: str, metrics: dict[str, Any]) -> str:
    sigma = metrics["train"][SIGMA[metrics["protocol"]]]
    shown = "undefined" if sigma is None else f"{sigma:.4f}"
    return f"{task}, {student}: {metrics['verdict']}: sigma {shown} on train, kappa {metrics['kappa']:g}"


if __name__ == "__main__":
    main()
