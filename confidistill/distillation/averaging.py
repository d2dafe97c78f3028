"""The mean of the weights at the ends of the last epochs (Izmailov et al. 2018, stochastic weight averaging)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, load_model, save_model
from torch import Tensor, nn

from confidistill.files import atomic_file


@contextmanager
def averaged(model: nn.Module, epochs: Path, step: int, last: int) -> Iterator[None]:
    """Within the block the model has the mean of its weights now, after `step`, and at the ends of the epochs before.

    Every epoch's weights stay in the folder `epochs`, since a run that is resumed may begin some epochs back.

    Args:
        last: how many epochs the mean is of, or as many as there were; 1: the model is left as it is.
    """
    if last == 1:
        yield
        return
    with atomic_file(own := epochs / f"{step}.safetensors") as path:
        save_model(model, str(path))
    steps = sorted(int(file.stem) for file in epochs.glob("*.safetensors"))
    files = [epochs / f"{earlier}.safetensors" for earlier in steps if earlier <= step][-last:]
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, mean in mean_of([load_file(file) for file in files]).items():
            names[name].copy_(mean)
    yield
    load_model(model, own)


def mean_of(weights: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor; one that is no floating-point number is the last's."""
    return {
        name: torch.stack([each[name] for each in weights]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in weights[-1].items()
    }
