"""General distillation: what it minimises, on which sequences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from confidistill.distillation import general as module
from confidistill.distillation import packing
from confidistill.distillation.data import BucketedBatches
from confidistill.distillation.general import distill_general
from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.scores import capture_scores, forward
from confidistill.distillation.student import build_student, load_student
from confidistill.errors import UserError
from confidistill.text.corpus import pack, paragraphs
from confidistill.text.tokens import load_tokenizer
from tests.distillation import stages
from tests.distillation.stages import ROWS, SHAPE, TRAINING, checkpoints, history


def test_first_loss_is_embedding_plus_hidden_plus_attention(assets, tmp_path):
    """Packed sequences have no padding, so that each term is a plain mean of squares."""
    training = replace(TRAINING, epochs=1, checkpoint_steps=1)
    stages.general(assets, tmp_path / "out", base="plain", training=training)

    tokenizer = load_tokenizer(assets / "plain")
    rows = np.array(list(pack(tokenizer, paragraphs(assets / "corpus.txt"), 12))[:ROWS])
    first = BucketedBatches([12] * ROWS, training.batch_size, training.seed).global_batches()[0]
    ids = torch.tensor(rows[first])
    teacher = AutoModel.from_pretrained(assets / "plain").eval()
    layers = uniform_layer_map(4, 2)
    student = build_student(teacher, SHAPE, initialisation="random", layer_map=layers, seed=training.seed)
    for model in (teacher, student.encoder):
        capture_scores(model)
    with torch.no_grad():
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        ours, theirs = forward(student.encoder, **inputs), forward(teacher, **inputs)
        terms = [
            functional.mse_loss(student.projection(ours.hidden_states[i]), theirs.hidden_states[2 * i])
            for i in range(3)
        ] + [functional.mse_loss(ours.scores[i], theirs.scores[2 * i + 1]) for i in range(2)]
    assert all(term > 0.01 for term in terms)
    assert history(tmp_path / "out")[0] == pytest.approx(sum(terms).item(), rel=1e-5)


def test_only_what_features_depend_on_is_trained(assets, tmp_path):
    stages.general(assets, tmp_path / "out", base="plain")
    teacher = AutoModel.from_pretrained(assets / "plain")
    start = build_student(
        teacher, SHAPE, initialisation="random", layer_map=uniform_layer_map(4, 2), seed=TRAINING.seed
    ).state_dict()
    unchanged = {
        name for name, tensor in load_student(tmp_path / "out").state_dict().items() if torch.equal(tensor, start[name])
    }
    assert unchanged == {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}


def test_teacher_gives_its_targets_in_evaluation_mode(assets, tmp_path):
    """`base` has dropout, `plain` is the same model without: with a student of `plain`, only the teacher differs."""
    losses = []
    for name in ("base", "plain"):
        teacher = AutoModel.from_pretrained(assets / name).train()
        student = build_student(
            AutoModel.from_pretrained(assets / "plain"),
            SHAPE,
            initialisation="random",
            layer_map=uniform_layer_map(4, 2),
            seed=0,
        )
        loss = module.feature_loss(teacher, student, uniform_layer_map(4, 2), "ignore")
        ids = torch.arange(5, 17).repeat(2, 1)
        losses.append(
            loss(
                student.train(),
                {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)},
            ).item()
        )
    assert losses[0] == losses[1]


def test_corpus_is_read_no_further_than_needed(assets, tmp_path, monkeypatch):
    read = []

    def counted(corpus):
        for paragraph in paragraphs(corpus):
            read.append(paragraph)
            yield paragraph

    monkeypatch.setattr(packing, "paragraphs", counted)
    monkeypatch.setattr("confidistill.text.corpus.TOKENIZED_TOGETHER", 10)
    stages.general(assets, tmp_path / "out", training=replace(TRAINING, epochs=1))
    tokenizer = load_tokenizer(assets / "base")
    tokens = [len(tokenizer.tokenize(paragraph)) for paragraph in read]
    assert sum(tokens[:-10]) < ROWS * 10 <= sum(tokens)  # 10 of a sequence's 12 tokens are text


def test_sequences_of_another_run_are_removed_before_new_ones_are_written(assets, tmp_path, monkeypatch):
    packed = checkpoints(tmp_path / "out").with_name("out.checkpoints.packed")
    packed.mkdir()
    (packed / "other.int32").write_bytes(b"1234")
    there = []

    def watched(corpus):
        there.extend(path.name for path in packed.glob("[!.]*"))
        yield from paragraphs(corpus)

    monkeypatch.setattr(packing, "paragraphs", watched)
    stages.general(assets, tmp_path / "out")
    assert there == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_too_little_text(assets, tmp_path):
    (tmp_path / "corpus.txt").write_text("the film\n")
    with pytest.raises(UserError, match="the corpus has too little text for one sequence"):
        distill_general(
            assets / "base",
            tmp_path / "corpus.txt",
            tmp_path / "out",
            shape=SHAPE,
            initialisation="random",
            max_length=12,
            sequences=None,
            training=TRAINING,
            checkpoints=tmp_path / "checkpoints",
        )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "corpus.txt"]


def test_longer_than_the_teacher_reads(assets, tmp_path):
    with pytest.raises(UserError, match="takes at most 64 tokens, not 65"):
        distill_general(
            assets / "base",
            assets / "corpus.txt",
            tmp_path / "out",
            shape=SHAPE,
            initialisation="random",
            max_length=65,
            sequences=None,
            training=TRAINING,
            checkpoints=tmp_path / "checkpoints",
        )
    assert list(tmp_path.iterdir()) == []
