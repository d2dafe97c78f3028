"""sigma as a running metric, in the shape that torchmetrics has: update, compute, reset; of arrays or tensors."""

from collections.abc import Iterable
from typing import Any

from confidistill.confidence.checking import pair_of_arrays
from confidistill.confidence.sums import Sums, sums


class PairwiseConfidence:
    """The measures of a teacher and a student over batches of their predictions.

    It keeps sums alone, so that any number of rows will do; the intervals, which need every row, are `check`'s. It can
    be pickled: metrics of several processes are gathered (`torch.distributed.all_gather_object`) and `merge`d.
    """

    def __init__(self, *, logits: bool = False) -> None:
        """`logits`: update is given logits, not probabilities."""
        self.logits = logits
        self._sums: Sums | None = None

    def update(self, teacher: Any, student: Any, labels: Any = None) -> None:
        """A batch: (N, C) of both, for the same rows, and perhaps (N,) class ids.

        Raises:
            UserError: unusable input, as of `check`.
            ValueError: other classes than before, or labels where there were none, or the other way round.
        """
        batch = sums(*pair_of_arrays(teacher, student, labels, self.logits))
        self._sums = batch if self._sums is None else self._sums + batch

    def compute(self) -> dict[str, float]:
        """Every measure of the rows so far by its name, as in measures.json, without intervals.

        Raises:
            ValueError: there was no row.
        """
        if self._sums is None:
            raise ValueError("nothing was measured: call update first")
        return self._sums.measures()

    def reset(self) -> None:
        """Forget all rows."""
        self._sums = None

    def merge(self, others: Iterable["PairwiseConfidence"]) -> None:
        """Add the rows of other processes' metrics to this one's.

        Raises:
            ValueError: as `update`.
        """
        for other in others:
            if other._sums is not None:
                self._sums = other._sums if self._sums is None else self._sums + other._sums

    def __call__(self, teacher: Any, student: Any, labels: Any = None) -> dict[str, float]:
        """Update, and the measures of this batch alone."""
        batch = type(self)(logits=self.logits)
        batch.update(teacher, student, labels)
        self.merge([batch])
        return batch.compute()
