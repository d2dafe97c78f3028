"""A student's weights at the start, and its folder."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, BertModel

from confidistill.distillation.features import feature_loss
from confidistill.distillation.layers import LayerMap, uniform_layer_map
from confidistill.distillation.losses import hidden_loss
from confidistill.distillation.scores import capture_scores, forward
from confidistill.distillation.student import (
    StudentShape,
    build_student,
    load_student,
    principal_components,
    write_student,
)
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer
from tests import tiny

SAME = StudentShape(layers=4, hidden_size=24, intermediate_size=48, attention_heads=2)  # the teacher's own
HALF = StudentShape(layers=2, hidden_size=24, intermediate_size=48, attention_heads=2)
NARROW = StudentShape(layers=2, hidden_size=16, intermediate_size=32, attention_heads=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher")
    tiny.write_model(path)
    return path


@pytest.fixture
def teacher(folder):
    return BertModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def batch():
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    return {
        "input_ids": torch.tensor([[2, 7, 8, 9, 3], [2, 10, 3, 0, 0]]),
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(mask),
    }


def build(teacher, shape, initialisation, seed=0, layers=None):
    layers = layers or uniform_layer_map(teacher.config.num_hidden_layers, shape.layers)
    return build_student(teacher, shape, initialisation=initialisation, layer_map=layers, seed=seed)


def same(left, right):
    left, right = left.state_dict(), right.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class TestFromTeacher:
    @torch.no_grad()
    def test_of_full_depth_reproduces_every_feature(self, teacher, batch):
        student = build(teacher, SAME, "teacher").eval()
        assert feature_loss(teacher, student, uniform_layer_map(4, 4), "ignore")(student, batch) == 0
        hidden_states, scores = student(**batch)
        expected = forward(teacher, **batch)
        assert len(hidden_states) == 5 and all(map(torch.equal, hidden_states, expected.hidden_states))
        assert len(scores) == 4 and all(map(torch.equal, scores, expected.scores))

    def test_layers_are_those_that_the_map_names(self, teacher):
        student = build(teacher, HALF, "teacher")
        assert same(student.encoder.embeddings, teacher.embeddings)
        assert same(student.encoder.pooler, teacher.pooler)
        for index, source in enumerate((1, 3)):
            assert same(student.encoder.encoder.layer[index], teacher.encoder.layer[source])
        student = build(teacher, HALF, "teacher", layers=LayerMap((2, 0), (0, 1, 2)))
        assert same(student.encoder.encoder.layer[0], teacher.encoder.layer[2])
        assert same(student.encoder.encoder.layer[1], teacher.encoder.layer[0])

    def test_layers_of_another_inner_width_start_at_random(self, teacher):
        student = build(teacher, StudentShape(4, 24, 40, 2), "teacher")
        assert same(student.encoder.embeddings, teacher.embeddings)
        source = teacher.encoder.layer[0].attention.self.query.weight
        assert not torch.isclose(student.encoder.encoder.layer[0].attention.self.query.weight, source).any()

    def test_narrow_embeddings_project_back_better_than_any_random_ones(self, teacher, batch):
        # As in trained models, variance is concentrated: here, in the first 8 of 24 directions.
        with torch.no_grad():
            teacher.embeddings.word_embeddings.weight[:, 8:] *= 0.2
        student = build(teacher, NARROW, "teacher")
        target = teacher.embeddings.word_embeddings.weight

        def error(one):
            back = one.projection(one.encoder.embeddings.word_embeddings.weight)
            return ((back - target).square().sum() / target.square().sum()).item()

        assert error(student) < 0.1
        assert min(error(build(teacher, NARROW, "random", seed=seed)) for seed in range(5)) > 0.9
        with torch.no_grad():
            capture_scores(teacher)
            embedded = forward(teacher, **batch).hidden_states[0]
            losses = []
            for one in (student, *(build(teacher, NARROW, "random", seed=seed) for seed in range(5))):
                capture_scores(one.encoder)
                losses.append(hidden_loss(one.eval()(**batch)[0][0], embedded, batch["attention_mask"]).item())
        assert losses[0] < 0.5 * min(losses[1:])

    def test_wider_than_the_teacher_is_refused(self, teacher):
        wide = StudentShape(2, 32, 48, 2)
        with pytest.raises(UserError, match="hidden_size 32 exceeds the teacher's 24: use initialisation random"):
            build(teacher, wide, "teacher")
        assert build(teacher, wide, "random").projection.weight.shape == (24, 32)


class TestPrincipalComponents:
    rows = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 2, 12) + 3

    def test_orthonormal(self):
        basis = principal_components(self.rows, 5)
        torch.testing.assert_close(basis.T @ basis, torch.eye(5))

    def test_what_they_leave_is_the_discarded_singular_values(self):
        basis = principal_components(self.rows, 5)
        centred = self.rows - self.rows.mean(0)
        left = (centred - centred @ basis @ basis.T).square().sum().item()
        values = np.linalg.svd(centred.numpy().astype(np.float64), compute_uv=False)
        assert left == pytest.approx((values[5:] ** 2).sum(), rel=1e-5)

    def test_signs_are_fixed(self):
        basis = principal_components(self.rows, 5)
        assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
        torch.testing.assert_close(principal_components(-self.rows, 5), basis)


def test_random_is_berts_own_initialisation_and_seeded(teacher):
    student, again, other = (build(teacher, NARROW, "random", seed=seed) for seed in (1, 1, 2))
    assert same(student, again)
    assert not same(student, other)
    weights = student.encoder.encoder.layer[1].intermediate.dense.weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.15)
    assert student.encoder.encoder.layer[1].intermediate.dense.bias.abs().max() == 0


def test_other_numbers_of_heads_are_refused(teacher):
    with pytest.raises(UserError, match="the student has 4 attention heads, the teacher 2"):
        build(teacher, StudentShape(2, 24, 48, 4), "random")


class TestFolder:
    def test_holds_what_was_written(self, teacher, folder, tmp_path, batch):
        student = build(teacher, NARROW, "teacher").eval()
        write_student(student, load_tokenizer(folder), tmp_path / "student", history=[{"step": 1, "loss": 2.0}])
        assert same(load_student(tmp_path / "student"), student)
        assert json.loads((tmp_path / "student" / "history.json").read_text()) == [{"step": 1, "loss": 2.0}]
        names = {path.name for path in (tmp_path / "student").iterdir()}
        assert {"model.safetensors", "projection.safetensors", "config.json", "tokenizer.json"} <= names
        assert load_file(tmp_path / "student" / "projection.safetensors")["weight"].shape == (24, 16)

    def test_opens_as_a_plain_encoder(self, teacher, folder, tmp_path, batch):
        student = build(teacher, NARROW, "random").eval()
        capture_scores(student.encoder)
        write_student(student, load_tokenizer(folder), tmp_path / "student")
        plain = BertModel.from_pretrained(tmp_path / "student").eval()
        assert plain.config._attn_implementation == "sdpa"
        capture_scores(student.encoder)
        with torch.no_grad():
            expected = forward(student.encoder, **batch).hidden_states[-1]
            found = plain(**batch).last_hidden_state
        real = batch["attention_mask"].bool()
        torch.testing.assert_close(found[real], expected[real])

    def test_opens_as_a_classifier_with_hugging_face_berts_head(self, teacher, folder, tmp_path, batch):
        student = build(teacher, NARROW, "random").eval()
        write_student(student, load_tokenizer(folder), tmp_path / "student")
        classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").eval()
        with torch.no_grad():
            first = student.encoder(**batch).last_hidden_state[:, 0]
            pooled = student.encoder.pooler.dense(first).tanh()  # and no ReLU, which the reference's head has
            assert (pooled < 0).any()
            torch.testing.assert_close(classifier(**batch).logits, classifier.classifier(pooled))

    def test_without_projection_is_no_student(self, folder):
        with pytest.raises(UserError, match=r"projection\.safetensors: no such file: .* is not a general or"):
            load_student(folder)
