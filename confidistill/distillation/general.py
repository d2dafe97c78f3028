"""General distillation: a task-free student of the un-fine-tuned teacher, features only (TinyBERT, section 3.2)."""

import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import AutoModel

from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.data import Sequences
from confidistill.distillation.features import feature_loss
from confidistill.distillation.identity import identity
from confidistill.distillation.layers import Spec
from confidistill.distillation.layers import layer_map as resolve
from confidistill.distillation.losses import Padding
from confidistill.distillation.student import Initialisation, StudentShape, build_student, write_student
from confidistill.distillation.training import fit, is_writer, writer_first
from confidistill.distillation.validation import check_length
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.text.corpus import pack, paragraphs
from confidistill.text.tokens import load_tokenizer


def distill_general(
    teacher: Path,
    corpus: Path,
    output: Path,
    *,
    shape: StudentShape,
    initialisation: Initialisation,
    max_length: int,
    sequences: int | None,
    training: Training,
    checkpoints: Path,
    layer_map: Spec = "uniform",
    padding: Padding = "ignore",
) -> None:
    """Distil the model of the folder `teacher` on the text of `corpus`, and write the student to `output`.

    Args:
        corpus: a text file or a folder of them, streamed and packed into sequences of `max_length` tokens.
        sequences: how many to use; None: all.

    Raises:
        UserError: the depth does not divide, heads differ, the teacher cannot read `max_length` tokens, the corpus
            has too little text.
    """
    tokenizer = load_tokenizer(teacher)
    model = AutoModel.from_pretrained(teacher, use_safetensors=True)
    check_length(max_length, model.config)
    layers = resolve(layer_map, model.config.num_hidden_layers, shape.layers)
    student = build_student(model, shape, initialisation=initialisation, layer_map=layers, seed=training.seed)
    inputs = identity(
        teacher, corpus, shape, initialisation, layers, padding, max_length, sequences, *code_behind(__name__)
    )
    packed = checkpoints.with_name(f"{checkpoints.name}.packed") / f"{inputs}.int32"
    with writer_first():
        if not packed.exists():
            shutil.rmtree(packed.parent, ignore_errors=True)  # another run's
            _write(islice(pack(tokenizer, paragraphs(corpus), max_length), sequences), packed)
    tokens = np.memmap(packed, dtype=np.int32, mode="r").reshape(-1, max_length)  # (N, T)
    history = fit(
        student,
        Sequences(tokens),
        loss=feature_loss(model, student, layers, padding),
        training=training,
        pad_token_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        inputs=inputs,
    )
    if is_writer():
        write_student(student, tokenizer, output, history=history)
        shutil.rmtree(checkpoints)
        shutil.rmtree(packed.parent)


def _write(rows: Iterable[list[int]], path: Path) -> None:
    """Write rows of token ids as raw int32, whole or not at all."""
    with atomic_file(path) as temporary:
        with temporary.open("wb") as file:
            for row in rows:
                file.write(np.asarray(row, dtype=np.int32).tobytes())
        if not temporary.stat().st_size:
            raise UserError("the corpus has too little text for one sequence: add text or lower max_length")
