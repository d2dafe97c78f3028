"""Text of GLUE's length distribution, and tiny models and vectors that know its words: growth depends on rows alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WORDS, SPREAD, MOST = 2.98, 0.97, 240  # of SST-2, CoLA, MRPC, RTE, QNLI and QQP, equal shares: log of words, mean, sd
VOCABULARY = 5_000
ONSETS, VOWELS = "bdfgklmnprstvz", "aeiou"


def vocabulary() -> list[str]:
    """Distinct words of three syllables."""
    syllables = [onset + vowel for onset in ONSETS for vowel in VOWELS]
    numbers = np.random.default_rng(0).choice(len(syllables) ** 3, VOCABULARY, replace=False)
    base = len(syllables)
    return ["".join(syllables[number // base**place % base] for place in range(3)) for number in numbers.tolist()]


def table(rows: int, seed: int) -> pd.DataFrame:
    """text, label and a teacher's logits; the n-th word is drawn in proportion to 1 / n, as in text."""
    random = np.random.default_rng(seed)
    words = np.array(vocabulary())
    lengths = np.exp(random.normal(WORDS, SPREAD, rows)).round().clip(1, MOST).astype(int)
    share = 1 / np.arange(1, len(words) + 1)
    drawn = random.choice(words, lengths.sum(), p=share / share.sum())
    texts = [" ".join(part) for part in np.split(drawn, lengths.cumsum()[:-1])]
    first, second = random.normal(size=(2, rows))
    return pd.DataFrame({"text": texts, "label": random.integers(0, 2, rows), "logit0": first, "logit1": second})


def write_models(folder: Path) -> None:
    """`teacher`, `student` and `mlm` (a model folder each) and `vectors`, under `folder`."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

    from confidistill.augmentation.vectors import convert
    from confidistill.distillation.student import StudentShape, new_student, write_student

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 512,
    }  # fmt: skip
    teacher = BertForSequenceClassification(BertConfig(num_hidden_layers=2, **sizes))
    for name, model in (("teacher", teacher), ("mlm", BertForMaskedLM(BertConfig(num_hidden_layers=1, **sizes)))):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    write_student(new_student(teacher.config, StudentShape(1, 32, 64, 2)), tokenizer, folder / "student")
    random = np.random.default_rng(0)
    lines = (f"{word} {' '.join(f'{number:.4f}' for number in random.normal(size=16))}" for word in vocabulary())
    (folder / "vectors.txt").write_text("\n".join(lines) + "\n")
    convert(folder / "vectors.txt", folder / "vectors")


def _tokenizer() -> Any:
    """WordPiece of the first half of the words whole and of letters, so that the others are words of several pieces."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(set(ONSETS + VOWELS))
    pieces = [*special, *vocabulary()[: VOCABULARY // 2], *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, pieces.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)
