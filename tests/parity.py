"""Recompute a reference case: `python -m tests.parity PATH` reads PATH.npz and PATH.json and prints JSON.

The case holds small random models in the names of the reference TinyBERT, one batch, and what its code computed. The
options that make ours equal its: means over padded positions (`padding="reference"`), and a head on relu(pooled).
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig

from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.losses import attention_loss, hidden_loss, soft_cross_entropy
from confidistill.distillation.published import student_of
from confidistill.distillation.scores import Features, capture_scores, forward
from confidistill.distillation.student import Student, StudentShape
from confidistill.errors import UserError, exits_cleanly


class Model(NamedTuple):
    """An encoder with its projection, and the task's head."""

    student: Student
    classifier: nn.Linear


class Case(NamedTuple):
    teacher: Model
    student: Model
    inputs: dict[str, Tensor]  # input_ids, attention_mask, token_type_ids: (B, T)
    stored: dict[str, np.ndarray]


def load_case(path: Path) -> Case:
    """Read PATH.npz and PATH.json; a UserError says what is missing."""
    for suffix in (".json", ".npz"):
        if not path.with_suffix(suffix).is_file():
            raise UserError(f"{path.with_suffix(suffix)}: no such file: a case is PATH.npz and PATH.json")
    facts = json.loads(path.with_suffix(".json").read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = dict(file)
    teacher_width = facts["teacher"]["hidden"]
    models = [_load_model(arrays, facts, side, teacher_width) for side in ("teacher", "student")]
    inputs = {key: torch.from_numpy(arrays[key]) for key in ("input_ids", "attention_mask", "token_type_ids")}
    return Case(models[0], models[1], inputs, arrays)


def _load_model(arrays: dict[str, np.ndarray], facts: dict[str, Any], side: str, teacher_width: int) -> Model:
    state = {
        key.removeprefix(f"{side}."): torch.from_numpy(array)
        for key, array in arrays.items()
        if key.startswith(f"{side}.")
    }
    if not state:
        raise UserError(f"the case has no weights called {side}.…")
    sizes = facts[side]
    config = BertConfig(
        vocab_size=facts["vocab"], max_position_embeddings=facts["max_position"], hidden_size=teacher_width,
        num_attention_heads=sizes["heads"],
    )  # fmt: skip
    shape = StudentShape(sizes["layers"], sizes["hidden"], sizes["intermediate"], sizes["heads"])
    student = student_of(state, config, shape, f"weights called {side}.…")
    capture_scores(student.encoder)
    classifier = nn.Linear(sizes["hidden"], facts["num_labels"])
    classifier.load_state_dict({name: state[f"classifier.{name}"] for name in ("weight", "bias")})
    return Model(student.eval(), classifier)


def reference_logits(model: Model, inputs: dict[str, Tensor]) -> Tensor:
    """classifier(relu(pooled)), the reference's head. (B, C)"""
    return model.classifier(model.student.encoder(**inputs).pooler_output.relu())


def features(model: Model, inputs: dict[str, Tensor]) -> Features:
    return forward(model.student.encoder, **inputs)


def recompute(case: Case) -> dict[str, Any]:
    """Every loss of the case, and the norm of the gradient of each student parameter in both stages."""
    mask = case.inputs["attention_mask"]
    with torch.no_grad():
        target = features(case.teacher, case.inputs)
        teacher_logits = reference_logits(case.teacher, case.inputs)
    layers = uniform_layer_map(len(target.scores), len(case.student.student.encoder.encoder.layer))
    hidden_states, scores = case.student.student(**case.inputs)
    attention = [attention_loss(scores[i], target.scores[j], mask, "reference") for i, j in enumerate(layers.attention)]
    hidden = [
        hidden_loss(hidden_states[i], target.hidden_states[j], mask, "reference") for i, j in enumerate(layers.hidden)
    ]
    stage1 = torch.stack(attention).sum() + torch.stack(hidden).sum()
    stage1_norms = _gradient_norms(case.student, stage1)
    stage2 = soft_cross_entropy(reference_logits(case.student, case.inputs), teacher_logits)
    # The reference's value, which its gradients belong to, is also a mean over classes.
    stage2_norms = _gradient_norms(case.student, stage2 / teacher_logits.shape[1])
    return {
        "attention_losses": [loss.item() for loss in attention],
        "attention_loss": sum(loss.item() for loss in attention),
        "hidden_losses": [loss.item() for loss in hidden],
        "hidden_loss": sum(loss.item() for loss in hidden),
        "stage1_loss": stage1.item(),
        "soft_ce_per_example": stage2.item(),
        "stage1_grad_norms": stage1_norms,
        "stage2_grad_norms": stage2_norms,
    }


def _gradient_norms(model: Model, loss: Tensor) -> dict[str, float]:
    """L2 norm of each parameter's gradient, under the reference's names; parameters without one are left out."""
    names = {f"bert.{name}": value for name, value in model.student.encoder.named_parameters()}
    names |= {f"classifier.{name}": value for name, value in model.classifier.named_parameters()}
    names |= {f"fit_dense.{name}": value for name, value in model.student.projection.named_parameters()}
    for value in names.values():
        value.grad = None
    loss.backward()
    return {name: value.grad.norm().item() for name, value in names.items() if value.grad is not None}


@exits_cleanly
def main() -> None:
    if len(sys.argv) != 2:
        raise UserError("usage: python -m tests.parity PATH, for PATH.npz and PATH.json")
    print(json.dumps(recompute(load_case(Path(sys.argv[1]))), indent=1))


if __name__ == "__main__":
    main()
