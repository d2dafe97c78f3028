"""Tokenised examples, batches padded to their longest, and the order in which they are seen."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase

from confidistill.distillation.token_file import READ_TOGETHER, TokenFile
from confidistill.distillation.variants import Rows
from confidistill.text.rows import check_text, in_parts

Example = dict[str, Any]
Batch = dict[str, torch.Tensor]

MEGABATCH = 50  # batches that are sorted by length together
TOKENISED_TOGETHER = 1_000  # rows; the tokenizer's own records are many times larger than the ids that are kept


class Examples(Dataset[Example]):
    """Number, token ids, segment ids and, where the table has them, label and teacher's logits of each row."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, table: pd.DataFrame, max_length: int) -> None:
        """Tokenise `table` (text, text_pair?, label?, logit0..?), truncating the longer text to `max_length` tokens.

        Raises:
            UserError: the table has no row, no column `text`, or a row without text.
        """
        check_text(table)
        self.tokens = TokenFile(
            tokenizer(
                rows["text"].tolist(),
                rows["text_pair"].tolist() if "text_pair" in rows else None,
                truncation="longest_first",
                max_length=max_length,
                return_token_type_ids=True,
                return_attention_mask=False,
            )
            for rows in in_parts(table, TOKENISED_TOGETHER)
        )
        # The call above leaves its truncation in the tokenizer, and save_pretrained would write it out.
        tokenizer.backend_tokenizer.no_truncation()
        self.labels = table["label"].to_numpy(np.int64) if "label" in table else None
        logits = [f"logit{index}" for index in range(sum(name.startswith("logit") for name in table.columns))]
        self.teacher_logits = table[logits].to_numpy(np.float32) if logits else None  # (N, C)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example: (N,)."""
        return self.tokens.lengths

    def ids(self) -> Iterator[np.ndarray]:
        """The token ids of all examples, some at a time."""
        return (tokens["input_ids"] for tokens in self.tokens.in_order())

    def __len__(self) -> int:
        return len(self.tokens.lengths)

    def __getitem__(self, index: int) -> Example:
        tokens = self.tokens[index]
        example: Example = {"rows": index} | {name: tokens[name] for name in ("input_ids", "token_type_ids")}
        if self.labels is not None:
            example["labels"] = self.labels[index]
        if self.teacher_logits is not None:
            example["teacher_logits"] = self.teacher_logits[index]
        return example


class Sequences(Dataset[Example]):
    """Packed token ids of general distillation: (N, T) on disk, or any array of equally long rows."""

    def __init__(self, tokens: np.ndarray) -> None:
        self.input_ids = tokens

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row: (N,)."""
        return np.full(len(self.input_ids), self.input_ids.shape[1])

    def ids(self) -> Iterator[np.ndarray]:
        """The token ids of all rows, some at a time."""
        rows = READ_TOGETHER // self.input_ids.shape[1]
        return (self.input_ids[start : start + rows] for start in range(0, len(self), rows))

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> Example:
        ids = self.input_ids[index]
        return {"rows": index, "input_ids": ids, "token_type_ids": np.zeros_like(ids)}


def used_ids(data: Examples | Sequences, pad_token_id: int) -> torch.Tensor:
    """The token ids of its batches, padding among them: (U,), ascending."""
    used = np.array([pad_token_id])
    for ids in data.ids():
        used = np.union1d(used, ids)
    return torch.from_numpy(used.astype(np.int64))


def collator(pad_token_id: int) -> Callable[[Sequence[Example]], Batch]:
    """Make a batch of examples: input_ids, attention_mask, token_type_ids (B, T), T the longest; the rest."""

    def collate(examples: Sequence[Example]) -> Batch:
        lengths = np.array([len(example["input_ids"]) for example in examples])

        def padded(key: str, value: int) -> torch.Tensor:
            rows = np.full((len(examples), lengths.max()), value, dtype=np.int64)  # (B, T)
            for row, example in zip(rows, examples, strict=True):
                row[: len(example[key])] = example[key]
            return torch.from_numpy(rows)

        mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        batch = {
            "input_ids": padded("input_ids", pad_token_id),
            "token_type_ids": padded("token_type_ids", 0),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }
        for key in ("rows", "labels", "teacher_logits"):
            if key in examples[0]:
                batch[key] = torch.from_numpy(np.stack([example[key] for example in examples]))
        return batch

    return collate


def by_length(
    data: Examples | Sequences, pad_token_id: int, batch_size: int, rows: np.ndarray | None = None
) -> Iterator[Batch]:
    """Batches of these `rows` of `data` (None: of all), each row once, the longest first: what is not for training."""
    chosen = np.arange(len(data)) if rows is None else rows
    order = chosen[np.argsort(-data.lengths[chosen], kind="stable")]
    collate = collator(pad_token_id)
    for start in range(0, len(order), batch_size):
        yield collate([data[row] for row in order[start : start + batch_size].tolist()])


class BucketedBatches(Sampler[list[int]]):
    """Batches of examples of like length, in an order that is a function of the seed and the epoch alone.

    An epoch is of the examples that `rows` gives it, or of all. Every process of `processes` sees the same global
    batches of `batch_size` and takes its share of each; the last batch of an epoch is a partial one where the sizes
    leave a rest.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        *,
        rows: Rows | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.rows = rows or (lambda _: np.arange(len(self.lengths)))
        self.examples = len(self.rows(0))
        self.batch_size = batch_size
        self.seed = seed
        self.process, self.processes = process, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.examples / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.global_batches():
            share = batch[self.process :: self.processes]
            # A process must do its part of the step: one that has no share takes any example, at weight 0.
            yield (share if len(share) else batch[:1]).tolist()

    def global_batches(self) -> list[np.ndarray]:
        """The epoch's batches of indices, all processes together."""
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(self.rows(self.epoch))
        size = self.batch_size * MEGABATCH
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        order = np.concatenate([chunk[np.argsort(-self.lengths[chunk], kind="stable")] for chunk in chunks])
        whole = len(order) // self.batch_size * self.batch_size
        batches = list(random.permutation(order[:whole].reshape(-1, self.batch_size)))  # of (B,)
        return [*batches, order[whole:]] if whole < len(order) else batches

    def weight(self, step: int) -> float:
        """What this process's mean loss of the epoch's batch `step` counts, so that the processes' mean is the batch's.

        1 but for a partial last batch, whose shares differ in size.
        """
        size = min(self.batch_size, self.examples - step * self.batch_size)
        share = len(range(self.process, size, self.processes))
        return self.processes * share / size
