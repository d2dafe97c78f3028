"""General distillation: a task-free student of the un-fine-tuned teacher, features only (TinyBERT, section 3.2)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import AutoModel

from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.data import Sequences
from confidistill.distillation.feature_cache import feature_cache
from confidistill.distillation.features import feature_loss
from confidistill.distillation.identity import identity
from confidistill.distillation.layers import Spec
from confidistill.distillation.layers import layer_map as resolve
from confidistill.distillation.losses import Padding
from confidistill.distillation.packing import pack_corpus, packed_beside
from confidistill.distillation.processes import is_writer
from confidistill.distillation.student import Initialisation, StudentShape, build_student, write_student
from confidistill.distillation.terms import ALL_FEATURES, Term
from confidistill.distillation.training import fit, writer_first
from confidistill.distillation.validation import check_length
from confidistill.text.tokens import load_tokenizer


def start_student(
    teacher: Path, output: Path, *, shape: StudentShape, initialisation: Initialisation, layer_map: Spec, seed: int
) -> None:
    """Write the student that general distillation would start from, built from the model of the folder `teacher`.

    Raises:
        UserError: the depth does not divide, heads differ, or the student is too wide to start from the teacher.
    """
    model = AutoModel.from_pretrained(teacher, use_safetensors=True)
    layers = resolve(layer_map, model.config.num_hidden_layers, shape.layers)
    student = build_student(model, shape, initialisation=initialisation, layer_map=layers, seed=seed)
    if is_writer():
        write_student(student, load_tokenizer(teacher), output)


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
    terms: Sequence[Term] = ALL_FEATURES,
    feature_cache_gib: float = 0.0,
) -> None:
    """Distil the model of the folder `teacher` on the text of `corpus`, and write the student to `output`.

    Args:
        corpus: a text file or a folder of them, streamed and packed into sequences of `max_length` tokens. Of several
            processes the first packs, while the others wait, some minutes at most: have a large corpus packed before
            (`pack_corpus`).
        sequences: how many to use; None: all.
        feature_cache_gib: as in stage 1 (`distill_intermediate`).

    Raises:
        UserError: the depth does not divide, heads differ, the teacher cannot read `max_length` tokens, the corpus
            has too little text.
    """
    tokenizer = load_tokenizer(teacher)
    model = AutoModel.from_pretrained(teacher, use_safetensors=True)
    check_length(max_length, model.config)
    layers = resolve(layer_map, model.config.num_hidden_layers, shape.layers)
    student = build_student(model, shape, initialisation=initialisation, layer_map=layers, seed=training.seed)
    with writer_first():
        packed = pack_corpus(teacher, corpus, packed_beside(checkpoints), max_length=max_length, sequences=sequences)
    tokens = np.memmap(packed, dtype=np.int32, mode="r").reshape(-1, max_length)  # (N, T)
    data = Sequences(tokens)
    cache = feature_cache(data, tokenizer.pad_token_id, epochs=training.epochs, gib=feature_cache_gib)
    history = fit(
        student,
        data,
        loss=feature_loss(model, student, layers, padding, terms, cache),
        training=training,
        pad_token_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        inputs=identity(
            teacher,
            packed.stem,
            shape,
            initialisation,
            layers,
            padding,
            terms,
            feature_cache_gib,
            *code_behind(__name__),
        ),
    )
    if is_writer():
        write_student(student, tokenizer, output, history=history)
        shutil.rmtree(checkpoints)
        shutil.rmtree(packed.parent)
