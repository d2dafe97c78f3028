"""Which words may stand in for a word: those of the masked LM, or its nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confidistill.augmentation.vectors import WordVectors, nearest

if TYPE_CHECKING:
    from confidistill.augmentation.masked_lm import MaskedLM  # seconds of imports that a run without one can spare


class Candidates:
    """The `count` candidates of words in sentences; remembers the neighbours of the words it has met.

    Source: TinyBERT's data_augmentation.py, `_word_augment`. A word that is one WordPiece asks the masked LM;
    a word of several pieces, or every word where there is no masked LM, asks the vectors.
    """

    def __init__(self, vectors: WordVectors, masked_lm: MaskedLM | None, *, count: int, workers: int | None) -> None:
        self.vectors, self.masked_lm, self.count, self.workers = vectors, masked_lm, count, workers
        self.neighbours: dict[str, list[str]] = {}

    def of(self, sentences: Sequence[Sequence[str]], positions: Sequence[Sequence[int]]) -> list[dict[int, list[str]]]:
        """For each sentence, given as words, the candidates of the words at `positions` (ascending)."""
        found: list[dict[int, list[str]]] = [{} for _ in sentences]
        if self.masked_lm is not None:
            pieces = [self.masked_lm.pieces(words) for words in sentences]
            single = [
                [position for position in chosen if len(pieces_of[position]) == 1]
                for pieces_of, chosen in zip(pieces, positions, strict=True)
            ]
            lists = self.masked_lm.candidates_of_each(pieces, single, self.count, self.workers)
            found = [dict(zip(at, filled, strict=True)) for at, filled in zip(single, lists, strict=True)]
        left = [
            {position: words[position] for position in chosen if position not in have}
            for words, chosen, have in zip(sentences, positions, found, strict=True)
        ]
        new = {word.lower() for chosen in left for word in chosen.values()} - self.neighbours.keys()
        self.neighbours |= nearest(self.vectors, sorted(new), self.count)
        for have, chosen in zip(found, left, strict=True):
            have |= {position: self._neighbours(word) for position, word in chosen.items()}
        return found

    def _neighbours(self, word: str) -> list[str]:
        near = self.neighbours[word.lower()]
        return [other.title() for other in near] if word.istitle() else near
