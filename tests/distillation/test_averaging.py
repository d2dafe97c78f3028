"""The mean of the last epochs' weights, by hand, and that training goes on from its own."""

import pytest
import torch
from torch import nn

from confidistill.distillation.averaging import averaged


def set_to(model: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@pytest.mark.parametrize(("last", "means"), [(1, [1, 2, 6]), (2, [1, 1.5, 4]), (3, [1, 1.5, 3]), (9, [1, 1.5, 3])])
def test_the_mean_is_of_the_last_epochs(tmp_path, last, means):
    model = nn.Linear(2, 3)
    for epoch, (value, mean) in enumerate(zip([1.0, 2.0, 6.0], means, strict=True), start=1):
        set_to(model, value)
        with averaged(model, tmp_path / "epochs", 10 * epoch, last):
            assert all((parameter == mean).all() for parameter in model.parameters())
        assert all((parameter == value).all() for parameter in model.parameters())


def test_an_epoch_that_is_run_again_is_not_averaged_with_later_ones(tmp_path):
    model = nn.Linear(2, 3)
    for step, value in ((9, 1.0), (10, 5.0), (9, 1.0)):
        set_to(model, value)
        with averaged(model, tmp_path / "epochs", step, 2):
            assert model.weight[0, 0] == {9: 1.0, 10: 3.0}[step]


def test_what_is_no_parameter_is_averaged_too_but_a_count_is_the_last(tmp_path):
    model = nn.BatchNorm1d(2)
    for step in (1, 2):
        model.running_mean.fill_(float(step))
        model.num_batches_tracked.fill_(step)
        with averaged(model, tmp_path / "epochs", step, 2):
            assert model.running_mean.tolist() == [[1.0, 1.0], [1.5, 1.5]][step - 1]
            assert model.num_batches_tracked == step
