"""The contenders do the same work as ours, in another way."""

import numpy as np
import pandas as pd
import pytest
import torch

from bench.models import classifier, intermediate, logits_loss
from bench.peers import reference, word_by_word
from bench.peers.job import Job
from bench.shapes import STUDENTS
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.augmentation.vectors import load_vectors, nearest
from confidistill.distillation.data import Examples, collator
from confidistill.text.tokens import load_tokenizer


@pytest.fixture
def examples(clone):
    """Two rows of one length, so that no mean depends on padding."""
    texts = pd.DataFrame({"text": ["the plot was great", "a film and music"], "label": 0})
    return Examples(load_tokenizer(clone / "models/base"), texts.assign(logit0=1.0, logit1=-1.0), 128)


@pytest.mark.parametrize("stage", [1, 2])
def test_textbrewer_s_loss_is_ours(stage, examples, tmp_path):
    textbrewer = pytest.importorskip("bench.peers.textbrewer", reason="needs the extra bench: textbrewer")
    torch.manual_seed(0)
    job = Job(stage, "S_2L", examples, epochs=1, seed=0)
    teacher = classifier(STUDENTS["S_2L"][0]).eval()
    if stage == 1:
        model, loss = intermediate(teacher, STUDENTS["S_2L"][1])
    else:
        model, loss = classifier(STUDENTS["S_2L"][1]), logits_loss
    rows = [examples[0], examples[1]]
    batch, theirs = collator(0)(rows), textbrewer.inputs(rows)
    batch["teacher_logits"] = teacher(**theirs).logits.detach()
    distiller = textbrewer.distiller(job, teacher, model, tmp_path, cache=False)
    model.eval()
    found, _ = distiller.train_on_batch(theirs, {})
    assert found.item() == pytest.approx(loss(model, batch).item(), rel=1e-5)


def test_the_reference_pads_to_128_and_counts_no_padding_as_text(examples):
    (batch,) = reference.padded(examples, seed=0)
    assert batch["input_ids"].shape == (2, 128)
    assert batch["attention_mask"].sum().item() == sum(examples.lengths)
    assert batch.keys() == {"input_ids", "attention_mask", "token_type_ids"}


@pytest.mark.parametrize("stage", [1, 2])
def test_the_reference_trains_the_student(stage, examples, tmp_path):
    torch.manual_seed(0)
    reference.prepared(Job(stage, "S_2L", examples, epochs=1, seed=0))(tmp_path)
    torch.manual_seed(0)
    reference.prepared(Job(stage, "S_2L", examples, epochs=0, seed=0))(
        tmp_path.joinpath("start").mkdir() or tmp_path / "start"
    )
    after, before = (torch.load(folder / "model.bin") for folder in (tmp_path, tmp_path / "start"))
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_one_word_at_a_time_finds_our_candidates(clone):
    """Up to candidates that are no words, which both drop."""
    masked_lm, vectors = MaskedLM(clone / "models/mlm"), load_vectors(clone / "data/vectors")
    words = ["the", "plot", "was", "superb", "and", "great"]
    single = [at for at in range(len(words)) if len(masked_lm.pieces([words[at]])[0]) == 1]
    assert 3 not in single
    ours = masked_lm.candidates(masked_lm.pieces(words), single, 8)
    assert [word_by_word._candidates(words, at, vectors, masked_lm, 8) for at in single] == ours
    for word in ("superb", "film"):
        theirs = word_by_word._candidates([word], 0, vectors, None, 5)
        assert theirs == nearest(vectors, [word], 5)[word]


def test_one_word_at_a_time_keeps_the_original_first(clone):
    table = pd.DataFrame({"text": ["the plot was superb", "a very dull scene"], "label": [1, 0]})
    settings = {"tokenizer": load_tokenizer(clone / "models/base"), "vectors": load_vectors(clone / "data/vectors")}
    rows = list(
        word_by_word.augment(table, **settings, masked_lm=None, variants=5, candidates=4, probability=0.9, seed=0)
    )
    texts = [row["text"] for row in rows]
    assert texts[0] == "the plot was superb" and len(set(texts)) == len(texts) > 6
    assert np.mean([row["label"] for row in rows[: texts.index("a very dull scene")]]) == 1
