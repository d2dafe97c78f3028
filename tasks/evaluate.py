"""The pairwise confidence difference of teacher and student, its spread, and the verdict."""

from pathlib import Path
from typing import Any

from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.measures import evaluate, headline
from confidistill.confidence.prediction_files import write_predictions
from confidistill.confidence.predictions import from_logits
from confidistill.files import atomic_file, atomic_folder, json_text
from tasks.entry import gpu_stage
from tasks.pairs import load_pair
from tasks.params import Params
from tasks.results import PLOTS, hashes
from tasks.tables import judged_splits, logits, splits, teacher_table

# Measures of two classes that a task lists under `also_report`, as GLUE does MCC for CoLA and F1 for MRPC and QQP.
OPTIONAL = ("mcc", "f1")


@gpu_stage
def main(params: Params, task: str, student: str) -> None:
    from confidistill.classifiers import open_classifier
    from confidistill.report import figures

    settings, judged = params.task(task), params.property
    params.student(student)
    evaluated = {}
    results = Path("results") / task / student
    classifier = open_classifier(Path("models/student") / task / student, max_length=settings.max_length)
    with atomic_folder(results / "predictions") as folder:
        for split in splits(task):
            table = teacher_table(task, split)
            labels = table["label"].to_numpy()
            student_logits = classifier.logits(table)
            write_predictions(folder / f"teacher-{split}.csv", logits(table), labels)
            write_predictions(folder / f"student-{split}.csv", student_logits, labels)
            evaluated[split] = evaluate(
                from_logits(logits(table), labels),
                from_logits(student_logits, labels),
                protocol=judged.protocol,
                kappa=judged.kappa,
                seed=judged.seed,
                resamples=judged.resamples,
            )
    unwanted = tuple(f"{name}_" for name in OPTIONAL if name not in settings.also_report)
    measures = {
        split: {name: value for name, value in evaluation.measures.items() if not name.startswith(unwanted)}
        for split, evaluation in evaluated.items()
    }
    judgement = evaluated["train"].judged
    metrics = {split: headline(measures[split], judged.protocol) for split in judged_splits(task)}
    needed: dict[str, Any] = {"rows_needed": rows_needed(judged.kappa)}
    for name, content in {"metrics": metrics, "measures": measures | needed}.items():
        with atomic_file(results / f"{name}.json") as path:
            path.write_text(json_text(content | judgement))

    pair = load_pair(task, student)
    with atomic_folder(PLOTS / f"{task}-{student}") as folder:
        for name, records in figures.records(pair).items():
            records.to_csv(folder / f"{name}.csv", index=False)
        (folder / "results.sha256").write_text(hashes(task, student))
    with atomic_folder(results / "figures") as folder:
        for name, figure in figures.draw(pair).items():
            figures.save_figure(figure, folder / name)


if __name__ == "__main__":
    main()
