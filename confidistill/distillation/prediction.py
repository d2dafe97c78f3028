"""Stage 2 of task distillation: the student imitates the teacher's logits (Eq. 1; TinyBERT, Eq. 10)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, set_seed

from confidistill.architectures.architecture import model_inputs
from confidistill.code import code_behind
from confidistill.distillation.arguments import Training
from confidistill.distillation.classifier import Metric, save_classifier, selection
from confidistill.distillation.data import Batch, Examples
from confidistill.distillation.identity import identity
from confidistill.distillation.terms import PREDICTION, SOFT_CE, Term, check_terms, prediction_loss
from confidistill.distillation.training import fit, is_writer
from confidistill.distillation.validation import check_length, check_targets
from confidistill.text.tokens import load_tokenizer


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
) -> None:
    """Train the encoder of the folder `student` with a new head, and write a plain classifier to `output`.

    The head is Hugging Face BERT's: dropout and one linear layer on the pooled output. The epoch with the best
    `metric` on `dev` is kept.

    Args:
        table: text, text_pair (pair tasks), label, and the teacher's logits in evaluation mode, logit0 ... logitC-1.
        dev: text, text_pair, label.

    Raises:
        UserError: a table has no row, no text, or a label that `label_names` does not have; the teacher's logits are
            missing, of another number of classes, or not finite; `max_length` is longer than the model can read.
    """
    check_terms(terms, list(PREDICTION))
    check_targets(table, "the distillation table", len(label_names), logits=True)
    check_targets(dev, "dev", len(label_names), logits=False)
    tokenizer = load_tokenizer(student)
    set_seed(training.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        student,
        use_safetensors=True,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={name: index for index, name in enumerate(label_names)},
    )

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
            *code_behind(__name__),
        ),
        selection=selection(metric, selected_on, Examples(tokenizer, dev, max_length), tokenizer.pad_token_id),
    )
    if is_writer():
        save_classifier(model, tokenizer, output, history=history, card="A student, distilled from its task's teacher.")
        shutil.rmtree(checkpoints)
