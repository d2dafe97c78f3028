"""Stage 2 of task distillation: the student imitates the teacher's logits (Eq. 1; TinyBERT, Eq. 10)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn
from transformers import AutoConfig, set_seed

from confidistill.architectures.architecture import dropouts, model_inputs
from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.classifier import Metric, new_classifier, save_classifier, selection
from confidistill.distillation.data import Batch, Examples
from confidistill.distillation.identity import identity
from confidistill.distillation.processes import is_writer
from confidistill.distillation.selection import Keep, Stop
from confidistill.distillation.terms import PREDICTION, SOFT_CE, Term, check_terms, prediction_loss
from confidistill.distillation.training import fit
from confidistill.distillation.validation import check_length, check_targets
from confidistill.distillation.variants import fresh
from confidistill.text.rows import where
from confidistill.text.tokens import load_tokenizer

MEASURED = 5000  # rows of the training set on which sigma is measured after each epoch


def distill_prediction(
    student: Path,
    table: pd.DataFrame,
    dev: pd.DataFrame,
    output: Path,
    *,
    label_names: Sequence[str],
    max_length: int,
    training: Training,
    metric: Metric,
    selected_on: str = "dev",
    checkpoints: Path,
    terms: Sequence[Term] = SOFT_CE,
    alpha: float = 0.0,
    temperature: float = 1.0,
    dropout: float | None = None,
    keep: Keep = "metric",
    average: int = 1,
    variants: int | None = None,
    stop: Stop | None = None,
) -> None:
    """Train the encoder of the folder `student` with a new head, and write a plain classifier to `output`.

    The head is the family's own in transformers; BERT's: dropout and one linear layer on the pooled output. After each
    epoch `metric` is measured on `dev`, and sigma on `dev` and on the training set; `keep` says by which of them an
    epoch is kept.

    Args:
        table: text, text_pair (pair tasks), label, and the teacher's logits in evaluation mode, logit0 ... logitC-1;
            `origin` where it holds more than the training set: the first row of each origin is of it, and a row of
            an origin below 0 is transfer text, whose label is `UNLABELLED`.
        dev: the same columns.
        dropout: the student's, in hidden states, attention and head; None: what its configuration says. The teacher
            gives its targets without dropout; a student that trains without it (0) comes nearer to them sooner.
        average: of how many epochs the weights are averaged before an epoch is measured (`averaging`); 1: none.
        variants: of a sentence, in an epoch, others each time (`variants`); None: all in each.
        stop: when training ends before its last epoch; None: never.

    Raises:
        UserError: a table has no row, no text, or a label that `label_names` does not have; the teacher's logits are
            missing, of another number of classes, or not finite; `max_length` is longer than the model can read.
    """
    check_terms(terms, list(PREDICTION))
    check_targets(table, "the distillation table", len(label_names), logits=True, unlabelled=alpha == 0)
    check_targets(dev, selected_on, len(label_names), logits=True)
    tokenizer = load_tokenizer(student)
    set_seed(training.seed)
    changes = {} if dropout is None else dict.fromkeys(dropouts(AutoConfig.from_pretrained(student)), dropout)
    model = new_classifier(student, label_names, **changes)

    names = model_inputs(model)

    def batch_loss(classifier: nn.Module, batch: Batch) -> Tensor:
        inputs = {key: batch[key] for key in names}
        return prediction_loss(
            classifier(**inputs).logits,
            batch["teacher_logits"],
            batch["labels"],
            terms=terms,
            alpha=alpha,
            temperature=temperature,
        )

    check_length(max_length, model.config)
    history = fit(
        model,
        Examples(tokenizer, table, max_length),
        loss=batch_loss,
        training=training,
        pad_token_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        inputs=identity(
            student,
            table,
            dev,
            list(label_names),
            max_length,
            metric,
            selected_on,
            terms,
            alpha,
            temperature,
            dropout,
            keep,
            average,
            variants,
            stop,
            *code_behind(__name__),
        ),
        selection=selection(
            metric,
            selected_on,
            Examples(tokenizer, dev, max_length),
            tokenizer.pad_token_id,
            train=Examples(tokenizer, _measured_rows(table, training.seed), max_length),
            keep=keep,
            average=average,
            stop=stop,
        ),
        rows=fresh(table, variants, training.seed),
    )
    if is_writer():
        save_classifier(model, tokenizer, output, history=history, card="A student, distilled from its task's teacher.")
        shutil.rmtree(checkpoints)


def _measured_rows(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of the training set itself, `MEASURED` of them at most, drawn by seed."""
    own = np.ones(len(table), bool)
    if "origin" in table:
        own = (~table["origin"].duplicated() & (table["origin"] >= 0)).to_numpy()
    drawn = pd.Series(np.flatnonzero(own))
    if len(drawn) > MEASURED:
        drawn = drawn.sample(MEASURED, random_state=seed)
        own = np.isin(np.arange(len(table)), drawn)
    return where(table, own).iloc[drawn.argsort().argsort()]
