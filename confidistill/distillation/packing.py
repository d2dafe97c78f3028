"""A corpus packed into sequences of one length, on disk: made once, read by every process of a run."""

import shutil
from itertools import islice
from pathlib import Path

import numpy as np

from confidistill.code import code_behind
from confidistill.distillation.identity import identity
from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.text.corpus import pack, paragraphs
from confidistill.text.tokens import load_tokenizer


def pack_corpus(model: Path, corpus: Path, folder: Path, *, max_length: int, sequences: int | None) -> Path:
    """Write the token ids of `corpus`, by the tokenizer of `model`, to a file in `folder`, raw int32 (N, max_length).

    Where the folder has the file already, nothing is done; files of other inputs are removed. Returns the file.

    Args:
        corpus: a text file or a folder of them, streamed.
        sequences: N; None: as many as the text gives.

    Raises:
        UserError: the corpus has too little text for one sequence.
    """
    inputs = identity(model / "tokenizer.json", corpus, max_length, sequences, *code_behind(__name__))
    packed = folder / f"{inputs}.int32"
    if packed.exists():
        return packed
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_file(packed) as temporary:
        with temporary.open("wb") as file:
            for row in islice(pack(load_tokenizer(model), paragraphs(corpus), max_length), sequences):
                file.write(np.asarray(row, dtype=np.int32).tobytes())
        if not temporary.stat().st_size:
            raise UserError("the corpus has too little text for one sequence: add text or lower max_length")
    return packed


def packed_beside(checkpoints: Path) -> Path:
    """The folder of packed sequences of the run that keeps its checkpoints there."""
    return checkpoints.with_name(f"{checkpoints.name}.packed")
