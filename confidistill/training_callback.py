"""sigma of held-out rows at each evaluation of a transformers Trainer, beside accuracy in its logs."""

from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from confidistill.confidence.running import PairwiseConfidence
from confidistill.errors import UserError

LOGGED = ("sigma", "mean_delta", "agreement", "predictive_kl")


class ConfidenceCallback(TrainerCallback):
    """Logs `eval_sigma` and its kin after each evaluation: trainer.add_callback(ConfidenceCallback(trainer, ...)).

    The held-out rows are predicted once more, by `trainer.predict`, so that device, precision and processes are the
    trainer's. The figures join those of the evaluation: `metric_for_best_model="sigma"` with `greater_is_better=False`
    keeps the epoch that is most like the teacher.
    """

    def __init__(self, trainer: Trainer, dataset: Any, teacher: Any, *, logits: bool = False) -> None:
        """`teacher`: (N, C) probabilities of the rows of `dataset`, in their order, or logits if `logits` says so.

        Raises:
            UserError: teacher and dataset are of different lengths.
        """
        if len(teacher) != len(dataset):
            raise UserError(f"the teacher's array has {len(teacher)} rows, the data set {len(dataset)}: give one a row")
        self.trainer, self.dataset, self.teacher, self.logits = trainer, dataset, teacher, logits

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Predict, measure, log.

        Raises:
            UserError: the student's logits are not of the teacher's shape, or not finite.
        """
        from confidistill.confidence.predictions import softmax

        student = self.trainer.predict(self.dataset).predictions
        if isinstance(student, tuple):  # hidden states, say, after the logits
            student = student[0]
        metric = PairwiseConfidence()
        metric.update(softmax(self.teacher) if self.logits else self.teacher, softmax(student))
        measured = metric.compute()
        logged = {f"eval_{name}": measured[name] for name in LOGGED}
        self.trainer.log(logged)
        if metrics is not None:
            metrics.update(logged)
