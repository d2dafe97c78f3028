"""Stage 1 of task distillation: the student imitates the fine-tuned teacher's attention scores and hidden states."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from transformers import AutoModel

from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.compatibility import check_heads
from confidistill.distillation.data import Examples
from confidistill.distillation.feature_cache import feature_cache
from confidistill.distillation.features import feature_loss
from confidistill.distillation.identity import identity
from confidistill.distillation.layers import Spec
from confidistill.distillation.layers import layer_map as resolve
from confidistill.distillation.losses import Padding
from confidistill.distillation.processes import is_writer
from confidistill.distillation.student import load_student, write_student
from confidistill.distillation.terms import ALL_FEATURES, Term
from confidistill.distillation.training import fit
from confidistill.distillation.validation import check_length
from confidistill.distillation.variants import fresh
from confidistill.text.tokens import load_tokenizer


def distill_intermediate(
    teacher: Path,
    student: Path,
    table: pd.DataFrame,
    output: Path,
    *,
    max_length: int,
    training: Training,
    checkpoints: Path,
    layer_map: Spec = "uniform",
    padding: Padding = "ignore",
    terms: Sequence[Term] = ALL_FEATURES,
    variants: int | None = None,
    feature_cache_gib: float = 0.0,
) -> None:
    """Train the student of the folder `student` on the text of `table`, and write it to `output`.

    `table` may have `origin` and `variants` a number, as in stage 2 (`distill_prediction`). The teacher's features are
    computed once for all epochs where they fit into `feature_cache_gib` GiB of TMPDIR (`feature_cache`).

    Raises:
        UserError: the student's depth does not divide the teacher's, their heads differ, a model's family is not
            supported, or one cannot read `max_length` tokens; the table has no row or no text.
    """
    tokenizer = load_tokenizer(teacher)
    teacher_model = AutoModel.from_pretrained(teacher, use_safetensors=True)
    student_model = load_student(student)
    shape = student_model.encoder.config
    check_heads(teacher_model.config.num_attention_heads, shape.num_attention_heads)
    for config in (teacher_model.config, shape):
        check_length(max_length, config)
    layers = resolve(layer_map, teacher_model.config.num_hidden_layers, shape.num_hidden_layers)
    columns = [name for name in ("text", "text_pair") if name in table]
    known = [*columns, *(["origin"] if "origin" in table else [])]
    examples = Examples(tokenizer, table[columns], max_length)
    rows = fresh(table, variants, training.seed)
    cache = feature_cache(examples, tokenizer.pad_token_id, rows, epochs=training.epochs, gib=feature_cache_gib)
    history = fit(
        student_model,
        examples,
        loss=feature_loss(teacher_model, student_model, layers, padding, terms, cache),
        training=training,
        pad_token_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        inputs=identity(
            teacher,
            student,
            table[known],
            max_length,
            layers,
            padding,
            terms,
            variants,
            feature_cache_gib,
            *code_behind(__name__),
        ),
        rows=rows,
    )
    if is_writer():
        write_student(student_model, tokenizer, output, history=history)
        shutil.rmtree(checkpoints)
