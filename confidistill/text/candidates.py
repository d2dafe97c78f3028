"""Which words may stand in for a word: those of the masked LM, or its nearest neighbours."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from types import TracebackType

import torch

from confidistill.text.masked_lm import MaskedLM
from confidistill.text.vectors import WordVectors, nearest


class Candidates:
    """The `count` candidates of words in sentences. A context manager: it owns `workers` threads.

    Source: TinyBERT's data_augmentation.py, `_word_augment`. A word that is one WordPiece asks the masked LM;
    a word of several pieces, or every word where there is no masked LM, asks the vectors. `workers` None: as
    many as torch would use.
    """

    def __init__(
        self, vectors: WordVectors, masked_lm: MaskedLM | None, *, count: int, workers: int | None
    ) -> None:
        self.vectors, self.masked_lm, self.count = vectors, masked_lm, count
        self.neighbours: dict[str, list[str]] = {}  # of the words met so far
        self.torch_threads = torch.get_num_threads()
        # One torch thread a worker: the sums of a matrix product are then split one way for any `workers`.
        self.pool = ThreadPoolExecutor(
            workers or self.torch_threads, initializer=torch.set_num_threads, initargs=(1,)
        )

    def __enter__(self) -> "Candidates":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.torch_threads)

    def of(
        self, sentences: Sequence[Sequence[str]], positions: Sequence[Sequence[int]]
    ) -> list[dict[int, list[str]]]:
        """For each sentence, given as words, the candidates of the words at `positions` (ascending)."""
        found: list[dict[int, list[str]]] = [{} for _ in sentences]
        if self.masked_lm is not None:
            pieces = [self.masked_lm.pieces(words) for words in sentences]
            single = [
                [position for position in chosen if len(word_pieces[position]) == 1]
                for word_pieces, chosen in zip(pieces, positions, strict=True)
            ]
            lists = self.pool.map(self.masked_lm.candidates, pieces, single, repeat(self.count))
            found = [dict(zip(at, words, strict=True)) for at, words in zip(single, lists, strict=True)]
        wanted = {
            words[position].lower()
            for words, chosen, have in zip(sentences, positions, found, strict=True)
            for position in chosen
            if position not in have
        }
        new = sorted(wanted - self.neighbours.keys())
        self.neighbours |= nearest(self.vectors, new, self.count)
        for words, chosen, have in zip(sentences, positions, found, strict=True):
            have |= {at: self._neighbours(words[at]) for at in chosen if at not in have}
        return found

    def _neighbours(self, word: str) -> list[str]:
        near = self.neighbours[word.lower()]
        return [other.title() for other in near] if word.istitle() else near
