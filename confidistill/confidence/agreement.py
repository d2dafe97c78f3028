"""Measures of one model against labels, and of a student against its teacher. N: examples, C: classes."""

import numpy as np

from confidistill.confidence.difference import Floats, Integers

TINY = np.finfo(np.float64).tiny


def accuracy(predicted: Integers, labels: Integers) -> float:
    """Share of correct predictions. predicted, labels: (N,)."""
    return float(np.mean(predicted == labels))


def confusion(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """(C, C) counts: row the label, column the predicted class. predicted, labels: (N,)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def matthews(predicted: Integers, labels: Integers) -> float:
    """Matthews correlation coefficient of any number of classes (Gorodkin 2004); 0 where it is undefined."""
    return matthews_of(confusion(predicted, labels, int(max(predicted.max(), labels.max())) + 1))


def matthews_of(counts: Integers) -> float:
    """`matthews` of a confusion table."""
    table = counts.astype(float)
    true, guessed, total = table.sum(1), table.sum(0), table.sum()
    covariance = np.trace(table) * total - true @ guessed
    spread = (total**2 - guessed @ guessed) * (total**2 - true @ true)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def f1(predicted: Integers, labels: Integers) -> float:
    """F1 of class 1, of two; 0 where it is undefined."""
    return f1_of(confusion(predicted, labels, 2))


def f1_of(counts: Integers) -> float:
    """`f1` of a confusion table, (2, 2)."""
    sizes = counts[:, 1].sum() + counts[1].sum()
    return float(2 * counts[1, 1] / sizes) if sizes else 0.0


def agreement(teacher: Floats, student: Floats) -> float:
    """Top-1 fidelity: the share of examples given the same class (Stanton et al. 2021). teacher, student: (N, C)."""
    return float(np.mean(teacher.argmax(axis=1) == student.argmax(axis=1)))


def churn(teacher: Floats, student: Floats) -> float:
    """Share of examples whose class changes (Milani Fard et al. 2016): 1 - agreement."""
    return 1.0 - agreement(teacher, student)


def predictive_kl(teacher: Floats, student: Floats) -> float:
    """Mean KL(p_T || p_S) in nats (Stanton et al. 2021). teacher, student: (N, C)."""
    return float(np.mean(_kl(teacher, student)))


def probability_loyalty(teacher: Floats, student: Floats) -> float:
    """Mean 1 - sqrt(JS(p_T, p_S)), JS in bits, so that it lies in 0..1 (Xu et al. 2021)."""
    middle = (teacher + student) / 2
    divergence = (_kl(teacher, middle) + _kl(student, middle)) / 2 / np.log(2)
    return float(np.mean(1 - np.sqrt(divergence.clip(0, 1))))


def _kl(first: Floats, second: Floats) -> Floats:
    """KL(first || second) of each row, (N,); 0 log 0 = 0."""
    terms = first * (np.log(first.clip(TINY)) - np.log(second.clip(TINY)))
    return np.asarray(terms.sum(axis=1).clip(0))
