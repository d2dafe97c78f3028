"""The text of general distillation: paragraphs, streamed, and packed into sequences of one length."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow.parquet
from transformers import PreTrainedTokenizerBase

from confidistill.errors import UserError
from confidistill.text.lines import decoded

TOKENIZED_TOGETHER = 1000


def paragraphs(corpus: Path) -> Iterator[str]:
    """Paragraphs of a file, or of a folder's files in order of their names.

    `.txt`: a paragraph a line; of a line with tabs, the last field (rated snippets are `id, rating, text`).
    `.parquet`: the lines of the column `text`.

    Raises:
        UserError: nothing readable is there, or a line is not UTF-8 (file and line are named).
    """
    corpus = Path(corpus)
    if corpus.is_file():
        files = [corpus]
    else:
        files = sorted(path for path in corpus.rglob("*") if path.suffix in (".txt", ".parquet"))
    if not files:
        raise UserError(f"{corpus}: no .txt or .parquet file: name a folder that has one")
    for path in files:
        lines = _parquet_lines(path) if path.suffix == ".parquet" else _text_lines(path)
        yield from filter(None, (line.strip() for line in lines))


def pack(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], length: int) -> Iterator[list[int]]:
    """Sequences of exactly `length` token ids: [CLS] (or BOS), consecutive text, [SEP] (or EOS). The rest is dropped.

    Raises:
        UserError: `length` leaves no room for text, or the tokenizer marks no beginning and end.
    """
    if length < 3:
        raise UserError(f"a length of {length} tokens leaves no room beside [CLS] and [SEP]: use 3 or more")
    first = tokenizer.bos_token_id if tokenizer.cls_token_id is None else tokenizer.cls_token_id
    last = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    if first is None or last is None:
        raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no [CLS] and [SEP] to put a text between")
    buffer: list[int] = []
    texts = iter(texts)
    while batch := list(islice(texts, TOKENIZED_TOGETHER)):
        buffer.extend(chain.from_iterable(tokenizer(batch, add_special_tokens=False)["input_ids"]))
        whole = len(buffer) // (length - 2) * (length - 2)
        for start in range(0, whole, length - 2):
            yield [first, *buffer[start : start + length - 2], last]
        del buffer[:whole]


def _text_lines(path: Path) -> Iterator[str]:
    return (line.split("\t")[-1] for line in decoded(path))


def _parquet_lines(path: Path) -> Iterator[str]:
    file = pyarrow.parquet.ParquetFile(path)
    if "text" not in file.schema_arrow.names:
        raise UserError(f"{path}: no column 'text': it has {', '.join(file.schema_arrow.names)}")
    for batch in file.iter_batches(columns=["text"]):
        for text in batch.column(0).to_pylist():
            yield from (text or "").splitlines()
