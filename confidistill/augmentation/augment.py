"""TinyBERT's data augmentation: variants of training sentences with some words replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from confidistill.architectures.architecture import Architecture
from confidistill.augmentation.candidates import Candidates
from confidistill.augmentation.vectors import WordVectors
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.progress import progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from confidistill.augmentation.masked_lm import MaskedLM


@cache
def stop_words() -> frozenset[str]:
    """Words that are never replaced; stopwords.txt tells where they come from."""
    lines = files(__package__).joinpath("stopwords.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def replaceable(words: Sequence[str]) -> list[int]:
    """Positions of the words that are made of the letters a-z only and are no stop words."""
    return [
        position for position, word in enumerate(words) if _LETTERS.fullmatch(word) and word.lower() not in stop_words()
    ]


_LETTERS = re.compile("[A-Za-z]+")


def vary(
    words: Sequence[str],
    candidates: Mapping[int, Sequence[str]],
    variants: int,
    probability: float,
    random: np.random.Generator,
) -> list[str]:
    """Distinct variants of a sentence, at most `variants`, their words joined by single spaces.

    `variants` times, each position of `candidates` is given one of its candidates with `probability`, all
    equally likely. A draw that changes no word, or repeats an earlier one, is dropped.
    Source: TinyBERT's data_augmentation.py, `augment`. It keeps the draw without a change where the joined
    words differ from the text in case or spacing, which to the model is the original once more.
    """
    positions = [position for position in candidates if candidates[position]]
    sizes = [len(candidates[position]) for position in positions]
    choices = random.integers(0, sizes, size=(variants, len(positions)))
    replaced = random.random((variants, len(positions))) < probability
    drawn: dict[str, None] = {}
    for choice, replace in zip(choices, replaced, strict=True):
        variant = list(words)
        for column in np.flatnonzero(replace):
            position = positions[column]
            variant[position] = candidates[position][choice[column]]
        drawn[" ".join(variant)] = None
    drawn.pop(" ".join(words), None)
    return list(drawn)


def augment(
    table: pd.DataFrame,
    *,
    architecture: Architecture,
    tokenizer: PreTrainedTokenizerBase,
    vectors: WordVectors,
    masked_lm: MaskedLM | None,
    variants: int,
    candidates: int = 15,
    probability: float = 0.4,
    seed: int,
    batch_size: int = 64,
    workers: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of `table`, each followed by its variants: one frame for `batch_size` rows of `table`.

    `table` has `text`, `label` and, for pair tasks, `text_pair`; the frames have these columns and `origin`,
    the row of `table` (from 0) that a row was made of. The first row of an origin is the original, unchanged.
    A pair gives variants of its text beside the original second text, then of the second beside the original
    first (TinyBERT's code varies the second beside the first's last variant). Labels are copied.

    `architecture`, of the model that will read the text, says what its words are.
    `variants`, `candidates` and `probability` are the paper's N, M and p; `candidates.py` tells where
    candidates come from. Every sentence draws from a generator of its own, seeded by (`seed`, row, column),
    so that neither `batch_size` nor `workers` (threads; None: as many as torch uses) changes the result.
    Raises UserError where a column is missing or a text is not a string.
    """
    columns = [column for column in ("text", "text_pair") if column in table]
    _check(table, columns)
    found = Candidates(vectors, masked_lm, count=candidates, workers=workers)
    for start in range(0, len(table), batch_size):
        rows = table.iloc[start : start + batch_size]
        varied: dict[str, list[list[str]]] = {}
        for which, column in enumerate(columns):
            sentences = [architecture.words(tokenizer, text) for text in rows[column]]
            choices = found.of(sentences, [replaceable(words) for words in sentences])
            varied[column] = [
                vary(words, choice, variants, probability, np.random.default_rng([seed, row, which]))
                for row, (words, choice) in enumerate(zip(sentences, choices, strict=True), start)
            ]
        yield _assemble(rows, columns, varied, start)


def write_augmented(table: pd.DataFrame, output: Path, *, batch_size: int = 64, **settings: object) -> int:
    """Write what `augment` yields (same arguments) to a Parquet file, in pieces; return the number of rows.

    The file appears only when it is complete, and its bytes do not depend on `batch_size`.
    """
    names = [name for name in ("text", "text_pair") if name in table]
    schema = pa.schema([(name, pa.string()) for name in names] + [("label", pa.int64()), ("origin", pa.int64())])
    frames = augment(table, batch_size=batch_size, **settings)  # type: ignore[arg-type]
    written = 0
    with (
        atomic_file(output) as temporary,
        pq.ParquetWriter(temporary, schema) as writer,
        progress(total=len(table), what="augment", unit="rows") as bar,
    ):
        waiting = schema.empty_table()
        for frame in frames:
            waiting = pa.concat_tables([waiting, pa.Table.from_pandas(frame, schema, preserve_index=False)])
            while len(waiting) > _ROW_GROUP:
                writer.write_table(waiting.slice(0, _ROW_GROUP))
                waiting = waiting.slice(_ROW_GROUP)
            written += len(frame)
            bar.update(frame["origin"].nunique())
        writer.write_table(waiting)
    return written


_ROW_GROUP = 20_000


def _check(table: pd.DataFrame, columns: list[str]) -> None:
    for name in ("text", "label"):
        if name not in table:
            raise UserError(f"the table to augment has no column {name}: it has {', '.join(map(str, table))}")
    for column in columns:
        for row, text in enumerate(table[column]):
            if not isinstance(text, str):
                raise UserError(f"the table to augment, row {row}: {column} is {text!r}, not text")


def _assemble(rows: pd.DataFrame, columns: list[str], varied: dict[str, list[list[str]]], start: int) -> pd.DataFrame:
    """Each row, its variants in the first column, then those in the second; the other cells as they are."""
    names = [*columns, "label"]
    made: list[dict[str, object]] = []
    for row, cells in enumerate(zip(*(rows[name] for name in names), strict=True)):
        original = {**dict(zip(names, cells, strict=True)), "origin": start + row}
        made.append(original)
        for column in columns:
            made += [{**original, column: text} for text in varied[column][row] if text != original[column]]
    return pd.DataFrame(made)
