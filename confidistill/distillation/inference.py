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
    rows: list[np.ndarray] = []
    with (
        torch.inference_mode(),
        progress(total=len(order), what=what or "", unit="rows", hidden=not what) as bar,
    ):
        for start in range(0, len(order), batch_size):
            batch = collate([examples[int(index)] for index in order[start : start + batch_size]])
            inputs = {key: batch[key].to(device) for key in names}
            rows.append(model(**inputs).logits.float().cpu().numpy())  # (B, C)
            bar.update(len(rows[-1]))
    logits = np.concatenate(rows)
    restored = np.empty_like(logits)
    restored[order] = logits
    return restored
