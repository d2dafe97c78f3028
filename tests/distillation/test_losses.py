"""The losses: values by hand, independence of padding and of batching, gradients."""

import math

import pytest
import torch
from torch.nn import functional

from confidistill.distillation.losses import (
    attention_loss,
    hidden_loss,
    jensen_shannon,
    kl_divergence,
    logit_mse,
    soft_cross_entropy,
    squared_difference,
)
from confidistill.distillation.terms import PREDICTION, Term, check_terms, prediction_loss
from confidistill.errors import UserError


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(lengths, width, *, seed=0, heads=3, size=5):
    """Student and teacher scores and hidden states of one batch, with noise at the padded positions."""
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    n = len(lengths)
    scores = [random(n, heads, width, width, seed=seed + side) for side in range(2)]
    hidden = [random(n, width, size, seed=seed + 2 + side) for side in range(2)]
    return scores, hidden, mask


class TestByHand:
    # One example of two real tokens, one of one real token and one padded.
    mask = torch.tensor([[1, 1], [1, 0]])

    def test_attention(self):
        student = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 90.0], [90.0, 90.0]]]])
        teacher = torch.tensor([[[[0.0, 0.0], [3.0, 2.0]]], [[[2.0, 50.0], [60.0, 70.0]]]])
        # (1 + 4 + 0 + 4) / 4 = 2.25 and 3**2 = 9: their mean.
        assert attention_loss(student, teacher, self.mask).item() == pytest.approx(5.625)
        # Keys that are padded count 0, the padded query's row with a real key, (90 - 60)**2, counts: all over 8.
        assert attention_loss(student, teacher, self.mask, "reference").item() == pytest.approx((9 + 9 + 900) / 8)

    def test_attention_reference_drops_scores_of_minus_100(self):
        student = torch.tensor([[[[-100.0, 1.0], [-99.0, 1.0]]]])
        teacher = torch.tensor([[[[4.0, 1.0], [1.0, 1.0]]]])
        mask = torch.ones(1, 2)
        assert attention_loss(student, teacher, mask, "reference").item() == pytest.approx((16 + 10_000) / 4)
        assert attention_loss(student, teacher, mask).item() == pytest.approx((104**2 + 10_000) / 4)

    def test_hidden(self):
        student = torch.tensor([[[1.0, 0.0], [0.0, 3.0]], [[2.0, 2.0], [50.0, 50.0]]])
        teacher = torch.zeros(2, 2, 2)
        assert hidden_loss(student, teacher, self.mask).item() == pytest.approx((10 / 4 + 8 / 2) / 2)
        assert hidden_loss(student, teacher, self.mask, "reference").item() == pytest.approx((10 + 8 + 5000) / 8)

    def test_soft_cross_entropy(self):
        # Teacher (3/4, 1/4), student (1/2, 1/2): ln 2. Teacher (1/2, 1/2), student (3/4, 1/4): -ln(3/16) / 2.
        even, three = [0.0, 0.0], [math.log(3), 0.0]
        found = soft_cross_entropy(torch.tensor([even, three]), torch.tensor([three, even]))
        assert found.item() == pytest.approx((math.log(2) - math.log(3 / 16) / 2) / 2)

    def test_soft_cross_entropy_at_a_temperature(self):
        # At t = 2 logits (ln 9, 0) are the odds 3 : 1.
        found = soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[math.log(9), 0.0]]), temperature=2.0)
        assert found.item() == pytest.approx(math.log(2))
        found = soft_cross_entropy(torch.tensor([[math.log(9), 0.0]]), torch.tensor([[math.log(9), 0.0]]), 2.0)
        assert found.item() == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))

    def test_logit_mse_sums_over_classes(self):
        assert logit_mse(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]])).item() == 15

    def test_kl_is_cross_entropy_less_entropy_and_keeps_its_size_at_a_temperature(self):
        student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])
        entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
        assert kl_divergence(student, teacher).item() == pytest.approx(math.log(2) - entropy)
        hot = kl_divergence(student, torch.tensor([[math.log(9), 0.0]]), temperature=2.0).item()
        assert hot == pytest.approx(4 * (math.log(2) - entropy))

    def test_jensen_shannon(self):
        # p = (3/4, 1/4), q = (1/4, 3/4), m even: each KL to m is 3/4 ln 3/2 + 1/4 ln 1/2.
        one, other = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, math.log(3)]])
        expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
        assert jensen_shannon(one, other).item() == pytest.approx(expected)
        assert jensen_shannon(other, one).item() == pytest.approx(expected)
        far = torch.tensor([[80.0, -80.0]])
        assert jensen_shannon(far, -far).item() == pytest.approx(math.log(2))  # its largest value

    def test_squared_difference_is_delta_squared_at_the_teachers_class(self):
        # p_T = (1/4, 3/4), k = 1; p_S = (1/2, 1/2): 1/16. p_T = (3/4, 1/4), k = 0; p_S = (1/4, 3/4): 1/4.
        teacher = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])
        student = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
        assert squared_difference(student, teacher).item() == pytest.approx((1 / 16 + 1 / 4) / 2)


@pytest.mark.parametrize("loss", [attention_loss, hidden_loss])
class TestDefaultOverPadding:
    """The default mean is the same however far the batch is padded, whatever stands there, and however it is split."""

    @staticmethod
    def pair(loss, scores, hidden):
        return scores if loss is attention_loss else hidden

    def test_further_padding_changes_nothing(self, loss):
        scores, hidden, mask = batch_of([5, 2, 4], 5)
        student, teacher = self.pair(loss, scores, hidden)
        pad = (0, 3, 0, 3) if loss is attention_loss else (0, 0, 0, 3)
        wider = [functional.pad(tensor, pad, value=1e4 + side) for side, tensor in enumerate((student, teacher))]
        before = loss(student, teacher, mask)
        torch.testing.assert_close(loss(*wider, functional.pad(mask, (0, 3))), before, rtol=1e-12, atol=0)
        reference = loss(student, teacher, mask, "reference")
        assert not torch.isclose(loss(*wider, functional.pad(mask, (0, 3)), "reference"), reference)

    def test_padded_positions_have_no_gradient(self, loss):
        scores, hidden, mask = batch_of([5, 2, 4], 5)
        student, teacher = self.pair(loss, scores, hidden)
        student.requires_grad_()
        loss(student, teacher, mask).backward()
        real = mask[:, None, :, None] * mask[:, None, None, :] if loss is attention_loss else mask[:, :, None]
        assert torch.equal(student.grad != 0, real.expand_as(student).bool())

    def test_splitting_a_batch_and_averaging_changes_nothing(self, loss):
        scores, hidden, mask = batch_of([5, 2, 4, 1], 5)
        student, teacher = self.pair(loss, scores, hidden)
        halves = [loss(student[i : i + 2], teacher[i : i + 2], mask[i : i + 2]) for i in (0, 2)]
        torch.testing.assert_close(sum(halves) / 2, loss(student, teacher, mask), rtol=1e-12, atol=0)

    def test_without_padding_both_readings_agree(self, loss):
        scores, hidden, mask = batch_of([5, 5], 5)
        student, teacher = self.pair(loss, scores, hidden)
        torch.testing.assert_close(loss(student, teacher, mask), loss(student, teacher, mask, "reference"))

    def test_shapes_that_differ_are_refused(self, loss):
        scores, hidden, mask = batch_of([5, 5], 5)
        student, teacher = self.pair(loss, scores, hidden)
        with pytest.raises(ValueError, match="student has shape"):
            loss(student, teacher[:, :1], mask)


class TestPredictionLoss:
    student, teacher = random(6, 3, seed=0), 2 * random(6, 3, seed=1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def loss(self, **changes):
        return prediction_loss(self.student, self.teacher, self.labels, **changes)

    def test_default_is_tinybert_soft_cross_entropy(self):
        expected = -(self.teacher.softmax(-1) * self.student.log_softmax(-1)).sum(-1).mean()
        torch.testing.assert_close(self.loss(), expected)

    def test_soft_cross_entropy_is_kl_plus_the_teachers_entropy(self):
        p = self.teacher.softmax(-1)
        kl = functional.kl_div(self.student.log_softmax(-1), p, reduction="batchmean")
        torch.testing.assert_close(self.loss() - kl, -(p * p.log()).sum(-1).mean())

    @pytest.mark.parametrize("kind", list(PREDICTION))
    def test_alpha_mixes_in_the_hard_labels(self, kind):
        hard = functional.cross_entropy(self.student, self.labels)
        torch.testing.assert_close(self.loss(terms=[Term(kind)], alpha=1.0), hard)
        mixed = 0.25 * hard + 0.75 * self.loss(terms=[Term(kind)])
        torch.testing.assert_close(self.loss(terms=[Term(kind)], alpha=0.25), mixed)

    def test_without_alpha_no_label_is_needed(self):
        nothing = torch.full((6,), -1)
        torch.testing.assert_close(prediction_loss(self.student, self.teacher, nothing), self.loss())

    def test_logit_mse_is_of_the_logits(self):
        torch.testing.assert_close(
            self.loss(terms=[Term("logit_mse")]), ((self.student - self.teacher) ** 2).sum() / len(self.labels)
        )

    def test_splitting_a_batch_and_averaging_changes_nothing(self):
        halves = [
            prediction_loss(self.student[i : i + 3], self.teacher[i : i + 3], self.labels[i : i + 3], alpha=0.5)
            for i in (0, 3)
        ]
        torch.testing.assert_close(sum(halves) / 2, self.loss(alpha=0.5))

    def test_temperature_is_not_compensated(self):
        student = self.student.clone().requires_grad_()
        prediction_loss(student, self.teacher, self.labels, temperature=4.0).backward()
        difference = (self.student / 4).softmax(-1) - (self.teacher / 4).softmax(-1)
        torch.testing.assert_close(student.grad, difference / (4 * len(self.labels)))
        torch.testing.assert_close(
            self.loss(terms=[Term("logit_mse")], temperature=4.0), self.loss(terms=[Term("logit_mse")]) / 16
        )

    def test_temperature_leaves_the_hard_labels_alone(self):
        torch.testing.assert_close(self.loss(alpha=1.0, temperature=4.0), self.loss(alpha=1.0))

    def test_terms_are_summed_with_their_weights(self):
        mixed = self.loss(terms=[Term("kl", 2.0), Term("sigma", 0.5)], temperature=3.0)
        parts = kl_divergence(self.student, self.teacher, 3.0), squared_difference(self.student, self.teacher, 3.0)
        torch.testing.assert_close(mixed, 2 * parts[0] + 0.5 * parts[1])

    @pytest.mark.parametrize("name", PREDICTION)
    def test_every_term_is_least_where_the_models_agree(self, name):
        student = self.teacher.clone().requires_grad_()
        least = prediction_loss(student, self.teacher, self.labels, terms=[Term(name)])
        least.backward()
        assert student.grad.abs().max() < 1e-7
        assert self.loss(terms=[Term(name)]) > least

    @pytest.mark.parametrize("name", PREDICTION)
    def test_gradients_of_every_term(self, name):
        teacher = self.teacher
        student = self.student.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda z: PREDICTION[name](z, teacher, 2.0), student)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "at least one term: soft_ce, kl"),
        ([Term("hinge")], "no loss is called 'hinge': known are soft_ce"),
        ([Term("kl"), Term("kl", 2.0)], "'kl' is named twice"),
        ([Term("kl", 0.0)], "'kl' has weight 0: give a positive number"),
    ],
)
def test_terms_that_make_no_loss(terms, message):
    with pytest.raises(UserError, match=message):
        check_terms(terms, list(PREDICTION))
