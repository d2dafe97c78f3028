"""Word vectors: reading GloVe as it is published, keeping it in one form, and nearest neighbours."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd

from confidistill.augmentation.ranking import highest
from confidistill.errors import UserError
from confidistill.files import atomic_folder
from confidistill.progress import progress

SEARCHED = 100_000  # words among which TinyBERT looks for neighbours


@dataclass(frozen=True)
class WordVectors:
    """Words, most frequent first, and their vectors of length one (a zero vector stays zero)."""

    words: list[str]
    matrix: npt.NDArray[np.float32]  # (words, dimension), float32

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}


def nearest(vectors: WordVectors, words: Sequence[str], count: int) -> dict[str, list[str]]:
    """For each word its `count` nearest others by cosine, nearest first; an unknown word has none.

    Cosines are found in blocks of words in float32; those within its rounding of the last place are computed
    again in float64, word by word, so that neither the block nor the number of threads changes a list.
    Equal cosines go to the more frequent word. Source: TinyBERT's data_augmentation.py, `_word_distance`.
    """
    matrix = vectors.matrix
    neighbours: dict[str, list[str]] = {word: [] for word in words}
    known = [word for word in neighbours if word in vectors.row and matrix[vectors.row[word]].any()]
    for start in range(0, len(known), _BLOCK):
        block = known[start : start + _BLOCK]
        cosines = matrix[[vectors.row[word] for word in block]] @ matrix.T  # (block, words)
        for word, scores in zip(block, cosines, strict=True):
            own = vectors.row[word]
            scores[own] = -np.inf
            last = scores[highest(scores, count)].min(initial=np.inf)
            close = np.flatnonzero(scores >= last - _ROUNDING)
            close = close[close != own]
            exact = (matrix[close].astype(np.float64) * matrix[own]).sum(axis=1)
            neighbours[word] = [vectors.words[row] for row in close[highest(exact, count)]]
    return neighbours


_BLOCK = 64  # words: 26 MB of cosines with 100,000 vectors
_ROUNDING = 1e-5  # above the error of a float32 cosine


def convert(source: Path, output: Path, *, member: str | None = None, limit: int = SEARCHED) -> None:
    """Read word vectors as published and write the folder that `load_vectors` opens; see `read_vectors`."""
    vectors = read_vectors(source, member=member, limit=limit)
    with atomic_folder(output) as folder:
        np.save(folder / _MATRIX, vectors.matrix)
        pd.DataFrame({"word": vectors.words}).to_parquet(folder / _WORDS, index=False)


def load_vectors(folder: Path) -> WordVectors:
    """Open what `convert` wrote; the matrix stays on disk and is mapped into memory."""
    folder = Path(folder)
    for name in (_MATRIX, _WORDS):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name}: not a folder of word vectors; run the stage download_vectors")
    words, matrix = _read_matrix(folder / _MATRIX, folder / _WORDS)
    return WordVectors(words, matrix)


_MATRIX, _WORDS = "vectors.npy", "words.parquet"


def read_vectors(source: Path, *, member: str | None = None, limit: int = SEARCHED) -> WordVectors:
    """The first `limit` vectors of a published collection, scaled to length one.

    `source` is a text file in GloVe's format (a word and its numbers a line, one space between), a zip with
    such files (`member` names one; it may be left out where there is one only), or a folder with one .npy
    matrix (words, dimension) and one .parquet table whose first column holds the words. In a folder, `member`
    names a file of it instead.
    Raises UserError naming the file, the line or row, and what is wrong with it.
    """
    path = Path(source)
    if path.is_dir() and member is not None:
        path, member = path / member, None
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of word vectors")
    if path.is_dir():
        words, matrix = _read_matrix(_only(path, "*.npy"), _only(path, "*.parquet"))
        words, matrix = words[:limit], matrix[:limit]
        name = str(path)
    else:
        with _open_text(path, member) as (file, name):
            words, matrix = _read_text(file, name, limit)
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise UserError(f"{name}: the vector of {words[bad[0]]!r} (number {bad[0] + 1}) is not finite")
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    length[length == 0] = 1
    return WordVectors(words, matrix / length)


def _read_matrix(matrix_file: Path, words_file: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """A memory-mapped matrix and its words, as many of each."""
    try:
        matrix = np.load(matrix_file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{matrix_file}: not a NumPy matrix: {error}") from error
    try:
        words = pd.read_parquet(words_file).iloc[:, 0].tolist()
    except (ValueError, IndexError) as error:  # pyarrow's errors are ValueErrors
        raise UserError(f"{words_file}: not a Parquet table of words: {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise UserError(f"{matrix_file}: {matrix.dtype} of shape {matrix.shape}, not a matrix of floats")
    if len(words) != len(matrix):
        raise UserError(f"{words_file} has {len(words)} words, {matrix_file.name} {len(matrix)} vectors")
    return words, matrix


def _only(folder: Path, pattern: str) -> Path:
    """The one file of `folder` that fits `pattern`."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise UserError(f"{folder}: {len(found)} files {pattern}, expected one; name a file with `member`")
    return found[0]


@contextmanager
def _open_text(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], str]]:
    """The bytes of a text file, or of a member of a zip, and what to call it."""
    if not zipfile.is_zipfile(path):
        if member is not None:
            raise UserError(f"{path}: not a zip, so it has no member {member}")
        with path.open("rb") as file:
            yield file, str(path)
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if member is None and len(names) == 1:
            member = names[0]
        if member not in names:
            raise UserError(f"{path}: no member {member}: it has {', '.join(names)}")
        with archive.open(member) as packed:
            yield packed, f"{path}!/{member}"


def _read_text(file: IO[bytes], name: str, limit: int) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The first `limit` lines of GloVe's text format."""
    words: dict[str, None] = {}
    rows: list[npt.NDArray[np.float32]] = []
    for number, line in enumerate(progress(file, total=limit, what="read vectors", unit="words"), start=1):
        if number > limit:
            break
        try:
            word, _, numbers = line.decode("utf-8").rstrip("\r\n").partition(" ")
            row = np.fromstring(numbers, dtype=np.float32, sep=" ")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: not UTF-8 ({error.reason})") from error
        except ValueError as error:
            raise UserError(f"{name}, line {number}: what follows {word!r} is not all numbers") from error
        if not word or not len(row):
            raise UserError(f"{name}, line {number}: expected a word and its numbers, found {line[:40]!r}")
        if rows and len(row) != len(rows[0]):
            raise UserError(f"{name}, line {number}: {len(row)} numbers, the lines before have {len(rows[0])}")
        if word in words:
            raise UserError(f"{name}, line {number}: {word!r} stands on an earlier line too")
        words[word] = None
        rows.append(row)
    if not rows:
        raise UserError(f"{name}: empty: expected a word and its numbers a line")
    return list(words), np.stack(rows)
