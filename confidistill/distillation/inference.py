"""Logits of a model in evaluation mode."""

import numpy as np
import torch
from torch import nn

from confidistill.architectures.architecture import model_inputs
from confidistill.distillation.data import Examples, collator
from confidistill.progress import progress


def logits_of(
    model: nn.Module, examples: Examples, *, pad_token_id: int, batch_size: int = 64, what: str | None = None
) -> np.ndarray:
    """Logits (N, C) float32 in evaluation mode, computed in batches of like length and put back in order.

    Progress is shown where `what` names the work.
    """
    model.eval()
    collate = collator(pad_token_id)
    names = model_inputs(model)
    order = np.argsort(-np.asarray(examples.lengths), kind="stable")
    device = next(model.parameters()).device
    with (
        torch.inference_mode(),
        progress(total=len(order), what=what or "", unit="rows", hidden=not what) as bar,
    ):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([examples[int(index)] for index in rows])
            inputs = {key: batch[key].to(device) for key in names}
            found = model(**inputs).logits.float().cpu().numpy()  # (B, C)
            if not start:
                logits = np.empty((len(order), found.shape[1]), np.float32)
            logits[rows] = found
            bar.update(len(rows))
    return logits
