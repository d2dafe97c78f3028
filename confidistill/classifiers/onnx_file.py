"""A sequence classifier in an ONNX file, run by onnxruntime on the processor: no torch, no transformers."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from tokenizers import Encoding, Tokenizer

from confidistill.architectures import longest_input
from confidistill.errors import UserError
from confidistill.progress import progress
from confidistill.text.rows import check_text

CONFIG = "config.json"
INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}  # of an Encoding
LOGITS = "logits"


class OnnxClassifier:
    """A `Classifier`. Beside the file, or, as on the hub, above its folder `onnx`, are config.json and tokenizer.json.

    `threads` is how many of the processor's are used; 0: all.

    Raises:
        UserError: a file is missing or unreadable, or the model reads fewer tokens than `max_length`; with `logits`,
            the graph is unreadable, or does not take token ids and give logits of the classes of config.json.
    """

    def __init__(self, path: Path, *, max_length: int, threads: int = 0) -> None:
        self.path, self.max_length, self.threads = path, max_length, threads
        folder = path.parent if (path.parent / CONFIG).exists() or path.parent.name != "onnx" else path.parent.parent
        for file in (path, folder / CONFIG, folder / "tokenizer.json"):
            if not file.is_file():
                raise UserError(
                    f"{file}: no such file: an ONNX model needs its config.json and tokenizer.json beside it"
                )
        self.class_names = _class_names(folder / CONFIG, max_length)
        self.tokenizer = _tokenizer(folder / "tokenizer.json", max_length)

    def logits(self, table: pd.DataFrame) -> np.ndarray:
        """As of `Classifier`; a text at a time.

        In a dynamically quantised graph the range of a whole batch decides how an activation is rounded, so that a
        text's logits would depend on which others it is with.
        """
        check_text(table)
        encodings = self._encoded(table)
        done = progress(encodings, what=f"logits of {self.path}", unit="rows")
        return np.concatenate([self._run(self._feed([encoding])) for encoding in done])

    def batch(self, table: pd.DataFrame) -> Callable[[], np.ndarray]:
        """The rows of a table as one padded batch; the function runs the model on it: (B, C)."""
        feed = self._feed(self._encoded(table))
        return lambda: self._run(feed)

    def _encoded(self, table: pd.DataFrame) -> list[Encoding]:
        columns = [table[name].tolist() for name in ("text", "text_pair") if name in table]
        texts = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        encoded: list[Encoding] = self.tokenizer.encode_batch(texts)
        return encoded

    def _feed(self, encodings: Sequence[Encoding]) -> dict[str, np.ndarray]:
        """What the graph takes: (B, T) int64, T the longest; padding, which the mask hides, is 0."""
        longest = max(len(encoding) for encoding in encodings)
        feed = {}
        for given in self._session.get_inputs():
            rows = np.zeros((len(encodings), longest), np.int64)
            for row, encoding in zip(rows, encodings, strict=True):
                row[: len(encoding)] = getattr(encoding, INPUTS[given.name])
            feed[given.name] = rows
        return feed

    def _run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        try:
            (logits,) = self._session.run([LOGITS], feed)
        except Exception as error:  # onnxruntime's have no base of their own
            raise UserError(f"{self.path}: {str(error).splitlines()[0]}") from None
        if logits.shape[1:] != (len(self.class_names),):
            raise UserError(
                f"{self.path}: logits of shape {logits.shape}, but config.json names {len(self.class_names)} classes"
            )
        return np.asarray(logits, np.float32)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may want the processor
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserError(f"{self.path}: {str(error).splitlines()[0]}") from None
        for given in session.get_inputs():
            if given.name not in INPUTS:
                raise UserError(f"{self.path}: its input {given.name!r} is unknown: it may take {', '.join(INPUTS)}")
        if LOGITS not in [output.name for output in session.get_outputs()]:
            raise UserError(f"{self.path}: no output {LOGITS!r}: export a sequence classifier")
        return session


def _class_names(path: Path, max_length: int) -> list[str]:
    """In the order of the logits."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        names = {int(index): str(name) for index, name in content["id2label"].items()}
        config: Any = SimpleNamespace(**{"model_type": None} | content)
        longest = longest_input(config) or max_length
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path}: not a model's configuration with id2label, which names its classes") from None
    if max_length > longest:
        raise UserError(f"{path.parent} takes at most {longest} tokens, not {max_length}: lower max_length")
    return [names[index] for index in sorted(names)]


def _tokenizer(path: Path, max_length: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises no narrower one
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    return tokenizer
