"""Training the rows of the word embeddings that the data uses; the others only decay, which takes one row to know.

Of BERT's 30,522 rows a task's text uses a few thousand, and a batch some hundreds, but a step of the optimiser goes
through all of them, with their moments, as does the norm of the gradient: in small students that is a third of a step.
A row without gradient is multiplied by 1 - lr * weight_decay a step and by nothing else (Loshchilov & Hutter 2019,
algorithm 2), so that a row of ones among those that are trained ends as the factor of every row that is not. The
results are the whole embedding's to rounding; what is saved, averaged or resumed has that row as it has the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from confidistill.distillation.student import Student


class UsedRows(nn.Module):
    """Stands in for an embedding (V, H): its `weight` (U + 1, H) has the rows of the ids in use, then one of ones.

    Every id is answered, in evaluation those too that are not in use: by their old row times the last row.
    """

    def __init__(self, whole: nn.Embedding, used: Tensor) -> None:
        """`used`: the ids in use, (U,), ascending."""
        super().__init__()
        rows = whole.weight.detach()  # (V, H)
        self.weight = nn.Parameter(torch.cat([rows[used], torch.ones_like(rows[:1])]), whole.weight.requires_grad)
        places = torch.full((len(rows),), len(used))
        places[used] = torch.arange(len(used))
        self.padding_idx = None if whole.padding_idx is None else int(places[whole.padding_idx])
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("rows", rows, persistent=False)
        self.places: Tensor
        self.rows: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of `ids`, of any shape."""
        places = self.places[ids]
        found = functional.embedding(places, self.weight, padding_idx=self.padding_idx)
        if self.training:
            return found
        unused = places == len(self.weight) - 1
        return torch.where(unused[..., None], self.rows[ids] * found, found)

    @torch.no_grad()
    def written_to(self, whole: nn.Embedding) -> None:
        """Give `whole`, which this stands in for, the rows as they are now."""
        unused = self.places == len(self.weight) - 1
        rows = torch.where(unused[:, None], self.rows * self.weight[-1], self.weight[self.places])
        whole.weight = nn.Parameter(rows, self.weight.requires_grad)


@contextmanager
def used_rows(model: nn.Module, used: Tensor) -> Iterator[None]:
    """Within the block the word embeddings of `model` are of the ids in `used` alone, (U,), ascending.

    A model without word embeddings, and embeddings that are more than a table, stay as they are.
    """
    whole = model.get_input_embeddings() if isinstance(model, PreTrainedModel | Student) else None
    if type(whole) is not nn.Embedding or whole.max_norm or whole.sparse or whole.scale_grad_by_freq:
        yield
        return
    assert isinstance(model, PreTrainedModel | Student)
    narrow = UsedRows(whole, used)
    model.set_input_embeddings(narrow)
    try:
        yield
    finally:
        narrow.written_to(whole)
        model.set_input_embeddings(whole)
