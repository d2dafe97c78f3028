"""Word vectors: the forms they are published in, malformed files, neighbours against brute force."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from confidistill.augmentation.ranking import highest
from confidistill.augmentation.vectors import WordVectors, convert, load_vectors, nearest, read_vectors
from confidistill.errors import UserError

GLOVE = "the 3 4\n, 0 -2\nüber 1e-1 0\n<unk> 0 0\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_text_format_is_read_and_scaled(tmp_path: Path) -> None:
    vectors = read_vectors(write(tmp_path / "glove.txt", GLOVE))
    assert vectors.words == ["the", ",", "über", "<unk>"]
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_allclose(vectors.matrix, [[0.6, 0.8], [0, -1], [1, 0], [0, 0]], rtol=1e-6)


def test_only_the_first_words_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt", GLOVE + "broken line\n")
    assert read_vectors(path, limit=2).words == ["the", ","]
    with pytest.raises(UserError, match="line 5"):
        read_vectors(path)


def test_windows_line_ends_and_a_word_that_is_a_line_separator(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt", "the 3 4\r\n\x85 1 0\r\n\xa0 0 1\r\n")
    assert read_vectors(path).words == ["the", "\x85", "\xa0"]


def test_zip_with_several_files_needs_a_member(tmp_path: Path) -> None:
    path = tmp_path / "glove.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.2d.txt", GLOVE)
        archive.writestr("glove.1d.txt", "the 2\n")
    assert read_vectors(path, member="glove.2d.txt").words[2] == "über"
    assert read_vectors(path, member="glove.1d.txt").matrix.tolist() == [[1.0]]
    with pytest.raises(UserError, match=r"no member None: it has glove\.2d\.txt, glove\.1d\.txt"):
        read_vectors(path)


def test_errors_inside_a_zip_name_the_member(tmp_path: Path) -> None:
    path = tmp_path / "glove.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.2d.txt", "the 3 4\n, 1\n")
    with pytest.raises(UserError, match=r"glove\.zip!/glove\.2d\.txt, line 2: 1 numbers"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("the 3 4\n\nof 1 2\n", "line 2: expected a word and its numbers"),
        ("the 3 4\nof 1 2 3\n", "line 2: 3 numbers, the lines before have 2"),
        ("400000 2\nthe 3 4\n", "line 2: 2 numbers, the lines before have 1"),
        ("the 3 4\nof 1 x\n", "line 2: what follows 'of' is not all numbers"),
        ("the 3 4\nof 1 nan\n", "the vector of 'of' \\(number 2\\) is not finite"),
        ("the 3 4\nof 1 2\nthe 1 1\n", "line 3: 'the' stands on an earlier line too"),
        (b"the 3 4\n\xff\xfe 1 2\n", "line 2: not UTF-8"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path / "glove.txt", content)
    with pytest.raises(UserError, match=message) as caught:
        read_vectors(path)
    assert str(path) in str(caught.value)
    with pytest.raises(UserError):
        convert(path, tmp_path / "vectors")
    assert [entry.name for entry in tmp_path.iterdir()] == ["glove.txt"]  # nothing half-written


def test_matrix_and_index_are_read_whatever_their_layout(tmp_path: Path) -> None:
    folder = tmp_path / "wheel"
    folder.mkdir()
    np.save(folder / "emb.npy", np.asfortranarray(np.array([[3, 4], [0, 2], [1, 0]], dtype=np.float32)))
    pd.DataFrame({"index": ["the", "of", "to"]}).to_parquet(folder / "index.parquet")
    convert(folder, tmp_path / "vectors", limit=2)
    vectors = load_vectors(tmp_path / "vectors")
    assert vectors.words == ["the", "of"]
    np.testing.assert_allclose(vectors.matrix, [[0.6, 0.8], [0, 1]], rtol=1e-6)
    assert isinstance(vectors.matrix, np.memmap)


def test_matrix_that_does_not_fit_its_words(tmp_path: Path) -> None:
    np.save(tmp_path / "emb.npy", np.ones((3, 2), dtype=np.float32))
    pd.DataFrame({"index": ["the", "of"]}).to_parquet(tmp_path / "index.parquet")
    with pytest.raises(UserError, match=r"2 words, emb\.npy 3 vectors"):
        read_vectors(tmp_path)
    (tmp_path / "index.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"index\.parquet: not a Parquet table"):
        read_vectors(tmp_path)
    np.save(tmp_path / "emb.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"emb\.npy: not a NumPy matrix"):
        read_vectors(tmp_path)


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        read_vectors(tmp_path / "glove.txt")
    with pytest.raises(UserError, match=r"0 files \*\.npy"):
        read_vectors(tmp_path)
    with pytest.raises(UserError, match=r"no vectors\.npy"):
        load_vectors(tmp_path)


def test_conversion_is_the_same_bytes_twice_and_in_any_form(tmp_path: Path) -> None:
    text = write(tmp_path / "glove.txt", GLOVE)
    convert(text, tmp_path / "once")
    convert(text, tmp_path / "again")
    for name in ("vectors.npy", "words.parquet"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_neighbours_by_hand() -> None:
    matrix = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [-1, 0], [0, 0]], dtype=np.float32)
    vectors = WordVectors(["east", "a", "b", "north", "west", "nowhere"], matrix)
    found = nearest(vectors, ["east", "a", "west", "unseen", "nowhere"], 2)
    assert found["east"] == ["a", "b"]
    assert found["a"] == ["b", "east"]  # cosines 0.96 and 0.8
    assert found["west"] == ["north", "nowhere"]  # both at right angles: the more frequent first
    assert found["unseen"] == found["nowhere"] == []
    assert nearest(vectors, ["north"], 50)["north"] == ["b", "a", "east", "west", "nowhere"]


def test_neighbours_equal_brute_force_and_do_not_depend_on_the_block() -> None:
    random = np.random.default_rng(0)
    matrix = random.integers(-3, 4, size=(400, 6)).astype(np.float32)  # many exact ties and equal vectors
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1)
    words = [f"w{row}" for row in range(len(matrix))]
    vectors = WordVectors(words, matrix)
    together = nearest(vectors, words, 15)
    exact = (matrix[:, None, :].astype(np.float64) * matrix[None]).sum(axis=2)
    np.fill_diagonal(exact, -np.inf)
    for row, word in enumerate(words):
        if matrix[row].any():
            expected = sorted(range(len(words)), key=lambda other: (-exact[row, other], other))[:15]
            assert together[word] == [words[other] for other in expected]
            assert nearest(vectors, [word], 15)[word] == together[word]


@given(arrays(np.float64, st.integers(1, 30), elements=st.integers(-3, 3)), st.integers(1, 40))
def test_highest_is_a_stable_descending_sort(scores: np.ndarray, count: int) -> None:
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:count]
    assert highest(scores, count).tolist() == expected
