"""What a masked language model would put in place of a word."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForMaskedLM

from confidistill.architectures import architecture_in
from confidistill.architectures.architecture import part
from confidistill.augmentation.ranking import highest
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer

_TOKENS = 4_096  # in one forward pass, about


class MaskedLM:
    """A masked language model in evaluation mode, fp32, on the GPU where there is one."""

    def __init__(self, folder: Path) -> None:
        """Load a Hugging Face folder (safetensors); UserError where it is no whole masked LM of a known family."""
        folder = Path(folder)
        self.architecture = architecture_in(folder)
        if not self.architecture.masked_lm_head:
            raise UserError(
                f"{folder}: a {self.architecture.model_type!r} cannot vary text: models.mlm must be a 'bert'"
            )
        if not list(folder.glob("*.safetensors")):
            raise UserError(f"{folder}: no weights in safetensors format")
        load: Any = AutoModelForMaskedLM.from_pretrained  # typed as if output_loading_info were always False
        model, loaded = load(folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True)
        if loaded["missing_keys"]:
            missing = ", ".join(sorted(loaded["missing_keys"])[:3])
            raise UserError(f"{folder}: no masked language model: weights are missing ({missing}, …)")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        self.tokenizer = load_tokenizer(folder)
        self.encoder, self.head = self.model.base_model, part(self.model, self.architecture.masked_lm_head)
        self.longest = self.architecture.longest(model.config)
        self.tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        self.special = set(self.tokenizer.all_special_tokens)

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """The ids of each word's pieces."""
        return [self.architecture.pieces(self.tokenizer, word) for word in words]

    def candidates_of_each(
        self,
        sentences: Sequence[Sequence[Sequence[int]]],
        positions: Sequence[Sequence[int]],
        count: int,
        workers: int | None = None,
    ) -> list[list[list[str]]]:
        """`candidates` of many sentences, by `workers` threads (None: as many as torch uses).

        Each worker uses one torch thread, so that the sums of a matrix product are split in one way and the
        result does not depend on `workers`.
        """
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(workers or threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return list(pool.map(self.candidates, sentences, positions, repeat(count)))
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def candidates(self, pieces: Sequence[Sequence[int]], positions: Sequence[int], count: int) -> list[list[str]]:
        """For each of `positions` (ascending; words of one piece) the `count` likeliest tokens in its place.

        Input: `[CLS] sentence with the word as [MASK] [SEP] sentence [SEP]`, the second sentence unmasked and
        in segment B, cut at the model's last position; a word masked beyond it has no candidates. Pieces
        that continue a word (##) and special tokens are dropped, so a list may be shorter than `count`; equal
        logits in order of their id. Source: TinyBERT's data_augmentation.py, `_masked_language_model`.

        One batch is one sentence with each of its words masked in turn: all rows have one length, so nothing
        is padded, and the numbers depend on the sentence alone, never on what else is being augmented.
        """
        cls, sep, mask = (
            self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, self.tokenizer.mask_token_id
        )  # fmt: skip
        sentence = [piece for word in pieces for piece in word]
        input_ids = torch.tensor([cls, *sentence, sep, *sentence, sep][: self.longest])  # (T,)
        segment_ids = (torch.arange(len(input_ids)) >= len(sentence) + 2).long()  # (T,)
        starts = [1]
        for word in pieces:
            starts.append(starts[-1] + len(word))
        masked = [start for start in (starts[position] for position in positions) if start < self.longest]
        found: list[list[str]] = []
        rows = max(1, _TOKENS // len(input_ids))
        for first in range(0, len(masked), rows):
            at = torch.tensor(masked[first : first + rows])  # (B,)
            batch = input_ids.repeat(len(at), 1)  # (B, T)
            batch[torch.arange(len(at)), at] = mask
            hidden = self.encoder(
                input_ids=batch.to(self.device), token_type_ids=segment_ids.expand_as(batch).to(self.device)
            ).last_hidden_state  # (B, T, H)
            logits = self.head(hidden[torch.arange(len(at)), at])  # (B, V): the head at the masks only
            found += [self._words(row, count) for row in logits[:, : len(self.tokens)].cpu().numpy()]
        return found + [[] for _ in range(len(positions) - len(found))]

    def _words(self, logits: npt.NDArray[np.float32], count: int) -> list[str]:
        likeliest = (self.tokens[index] for index in highest(logits, count))
        return [token for token in likeliest if not self.architecture.continues(token) and token not in self.special]
