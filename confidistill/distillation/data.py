"""Tokenised examples, batches padded to their longest, and the order in which they are seen."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase

Example = dict[str, Any]
Batch = dict[str, torch.Tensor]

MEGABATCH = 50  # batches that are sorted by length together


class Examples(Dataset[Example]):
    """Token ids, segment ids and, where the table has them, the label and the teacher's logits of each row."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, table: pd.DataFrame, max_length: int) -> None:
        """Tokenise `table` (text, text_pair?, label?, logit0..?), truncating the longer text to `max_length` tokens."""
        pair = table["text_pair"].tolist() if "text_pair" in table else None
        encoded = tokenizer(
            table["text"].tolist(),
            pair,
            truncation="longest_first",
            max_length=max_length,
            return_token_type_ids=True,
        )
        self.input_ids: list[list[int]] = encoded["input_ids"]
        self.token_type_ids: list[list[int]] = encoded["token_type_ids"]
        self.labels = table["label"].to_numpy(np.int64) if "label" in table else None
        logits = [f"logit{index}" for index in range(sum(name.startswith("logit") for name in table.columns))]
        self.teacher_logits = table[logits].to_numpy(np.float32) if logits else None  # (N, C)

    @property
    def lengths(self) -> list[int]:
        return [len(ids) for ids in self.input_ids]

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> Example:
        example: Example = {"input_ids": self.input_ids[index], "token_type_ids": self.token_type_ids[index]}
        if self.labels is not None:
            example["labels"] = self.labels[index]
        if self.teacher_logits is not None:
            example["teacher_logits"] = self.teacher_logits[index]
        return example


class Sequences(Dataset[Example]):
    """Packed token ids of general distillation: (N, T) on disk, or any array of equally long rows."""

    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens = tokens

    @property
    def lengths(self) -> list[int]:
        return [self.tokens.shape[1]] * len(self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Example:
        ids = self.tokens[index].tolist()
        return {"input_ids": ids, "token_type_ids": [0] * len(ids)}


def collator(pad_token_id: int) -> Callable[[Sequence[Example]], Batch]:
    """Make a batch of examples: input_ids, attention_mask, token_type_ids (B, T), T the longest; labels, logits."""

    def collate(examples: Sequence[Example]) -> Batch:
        width = max(len(example["input_ids"]) for example in examples)

        def padded(key: str, value: int) -> torch.Tensor:
            return torch.tensor([[*example[key], *[value] * (width - len(example[key]))] for example in examples])

        batch = {
            "input_ids": padded("input_ids", pad_token_id),
            "token_type_ids": padded("token_type_ids", 0),
            "attention_mask": torch.tensor(
                [[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in examples]
            ),
        }
        for key in ("labels", "teacher_logits"):
            if key in examples[0]:
                batch[key] = torch.from_numpy(np.stack([example[key] for example in examples]))
        return batch

    return collate


class BucketedSampler(Sampler[int]):
    """An order in which batches hold examples of like length; a function of the seed and the epoch alone.

    Batches of `batch_size` consecutive indices are the global batches: a partial one comes last.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        size = self.batch_size * MEGABATCH
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        order = np.concatenate([chunk[np.argsort(-self.lengths[chunk], kind="stable")] for chunk in chunks])
        whole = len(order) // self.batch_size * self.batch_size
        batches = random.permutation(order[:whole].reshape(-1, self.batch_size))  # (whole batches, B)
        yield from map(int, np.concatenate([batches.ravel(), order[whole:]]))
