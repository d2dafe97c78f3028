"""Prediction with every text padded to the model's longest: the plain loop of a notebook."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bench.models import DEVICE


class Padded:
    """A classifier of the rows of a table, `batch_size` of them at a time, each padded to `max_length` tokens."""

    def __init__(self, folder: Path, *, max_length: int, batch_size: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        self.model.to(DEVICE)
        self.max_length, self.batch_size = max_length, batch_size

    @torch.inference_mode()
    def logits(self, table: pd.DataFrame) -> np.ndarray:
        """(N, C)."""
        found = []
        for start in range(0, len(table), self.batch_size):
            rows = table.iloc[start : start + self.batch_size]
            columns = [rows[name].tolist() for name in ("text", "text_pair") if name in rows]
            batch = self.tokenizer(
                *columns, padding="max_length", truncation=True, max_length=self.max_length, return_tensors="pt"
            )
            found.append(self.model(**batch.to(self.model.device)).logits.cpu().numpy())
        return np.concatenate(found)
