"""The tokenizer of a model folder, with the padding and truncation that its file may carry switched off.

Whoever loads a model loads its tokenizer, too: what transformers says meanwhile is quietened here.
"""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from confidistill.errors import UserError
from confidistill.progress import quieten_transformers

quieten_transformers()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of `folder`.

    Raises:
        UserError: the folder has no tokenizer.json.
    """
    if not (Path(folder) / "tokenizer.json").exists():
        raise UserError(f"{Path(folder) / 'tokenizer.json'}: no such file: the model folder must hold a fast tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer
