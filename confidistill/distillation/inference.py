"""Logits of a model in evaluation mode."""

import numpy as np
import torch
from torch import nn

from confidistill.architectures.architecture import model_inputs
from confidistill.distillation.data import Examples, by_length
from confidistill.progress import progress


def logits_of(
    model: nn.Module, examples: Examples, *, pad_token_id: int, batch_size: int = 64, what: str | None = None
) -> np.ndarray:
    """Logits (N, C) float32 in evaluation mode, computed in batches of like length and put back in order.

    Progress is shown where `what` names the work.
    """
    model.eval()
    names = model_inputs(model)
    order, found = [], []
    device = next(model.parameters()).device
    with (
        torch.inference_mode(),
        progress(total=len(examples), what=what or "", unit="rows", hidden=not what) as bar,
    ):
        for batch in by_length(examples, pad_token_id, batch_size):
            inputs = {key: batch[key].to(device) for key in names}
            order.append(batch["rows"].numpy())
            found.append(model(**inputs).logits.float().cpu().numpy())  # (B, C)
            bar.update(len(found[-1]))
    return np.concatenate(found)[np.argsort(np.concatenate(order))]
