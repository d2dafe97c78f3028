"""The augmentation: hand-made cases, properties, independence of batches and workers, bounded memory."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import (
    augment,
    replaceable,
    stop_words,
    vary,
    write_augmented,
)
from confidistill.augmentation.masked_lm import MaskedLM
from confidistill.augmentation.vectors import convert, load_vectors, nearest
from confidistill.errors import UserError
from tests.shared import SHARED, needs
from tests.text import toy

VECTORS = toy.vectors()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizerFast:
    return toy.tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory: pytest.TempPathFactory) -> MaskedLM:
    """A random masked LM over the toy vocabulary."""
    folder = tmp_path_factory.mktemp("mlm")
    size = len(toy.SPECIAL + toy.PIECES)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=size, **shape)).save_pretrained(folder)
    toy.tokenizer(folder)
    return MaskedLM(folder)


def augmented(table: pd.DataFrame, tokenizer: BertTokenizerFast, **settings: object) -> pd.DataFrame:
    """All that `augment` yields, in one table."""
    defaults = {
        "architecture": BERT,
        "tokenizer": tokenizer,
        "vectors": VECTORS,
        "masked_lm": None,
        "variants": 10,
        "seed": 0,
    }
    return pd.concat(augment(table, **(defaults | settings)), ignore_index=True)


def sentences(count: int, *, pair: bool = False, seed: int = 0) -> pd.DataFrame:
    """Random sentences of toy words."""
    random = np.random.default_rng(seed)
    words = [*toy.ANIMALS, *toy.VERBS, "snowman", "the", "."]
    make = [" ".join(random.choice(words, size=random.integers(1, 12))) for _ in range(2 * count)]
    table = pd.DataFrame({"text": make[:count], "label": random.integers(0, 3, count)})
    return table.assign(text_pair=make[count:]) if pair else table


def test_words_are_bert_s(tokenizer: BertTokenizerFast) -> None:
    text = "The CAT doesn't\u200b eat  snow-mén, [SEP] \u732b\u72ac."
    words = "the cat doesn ' t eat snow - men , [ sep ] \u732b \u72ac ."
    assert " ".join(BERT.words(tokenizer, text)) == words


def test_stop_words() -> None:
    """The words of TinyBERT's list that are made of letters: 145, no question words among them."""
    assert len(stop_words()) == 145
    assert {"i", "the", "don", "s", "t", "ve", "wouldn", "not"} <= stop_words()
    assert not {"what", "who", "when", "why", "cat", "#"} & stop_words()


def test_replaceable_words() -> None:
    words = ["The", "Cat", "doesn", "'", "t", "eat", "2", "mp3", "naïve", "猫", "fish", "WHY", "."]
    assert [words[position] for position in replaceable(words)] == ["Cat", "eat", "fish", "WHY"]


def test_one_candidate_and_certainty_leave_one_variant() -> None:
    words = ["the", "cat", "eats", "a", "fish"]
    made = vary(words, {1: ["dog"], 4: ["bird"]}, 30, 1.0, np.random.default_rng(0))
    assert made == ["the dog eats a bird"]


def test_nothing_to_replace_leaves_no_variant() -> None:
    random = np.random.default_rng(0)
    assert vary(["the", "."], {}, 30, 0.4, random) == []
    assert vary(["cat"], {0: []}, 30, 0.4, random) == []
    assert vary(["cat"], {0: ["cat"]}, 30, 1.0, random) == []
    assert vary(["cat"], {0: ["dog"]}, 30, 0.0, random) == []
    assert vary([], {}, 30, 0.4, random) == []


def test_words_are_replaced_with_the_probability_and_candidates_are_equally_likely() -> None:
    """2,000 variants of 40 words: the shares lie within five standard errors of p = 0.4 and of 1/15."""
    candidates = [f"c{index}" for index in range(15)]
    words = ["w"] * 40
    made = vary(words, dict.fromkeys(range(40), candidates), 2000, 0.4, np.random.default_rng(0))
    counts = Counter(word for variant in made for word in variant.split())
    total, replaced = len(made) * 40, sum(counts[candidate] for candidate in candidates)
    assert abs(replaced / total - 0.4) < 5 * (0.4 * 0.6 / total) ** 0.5
    for candidate in candidates:
        assert abs(counts[candidate] / replaced - 1 / 15) < 5 * (1 / 15 * 14 / 15 / replaced) ** 0.5


def test_each_sentence_of_a_pair_is_varied_beside_the_other_s_original(tokenizer: BertTokenizerFast) -> None:
    """The nearest neighbour of cat is dog, of runs sings (see toy.vectors)."""
    table = pd.DataFrame({"text": ["A Cat!", "2"], "text_pair": ["It runs.", "a"], "label": [1, 0]})
    made = augmented(table, tokenizer, candidates=1, probability=1.0)
    assert VECTORS.words[1] == "dog" and nearest(VECTORS, ["runs"], 1) == {"runs": ["sings"]}
    assert made.to_dict("split")["data"] == [
        ["A Cat!", "It runs.", 1, 0],
        ["a dog !", "It runs.", 1, 0],
        ["A Cat!", "it sings .", 1, 0],
        ["2", "a", 0, 1],
    ]
    assert list(made) == ["text", "text_pair", "label", "origin"]


def test_single_pieces_ask_the_masked_lm_and_the_others_the_vectors(
    tokenizer: BertTokenizerFast, masked_lm: MaskedLM
) -> None:
    words = ["the", "cat", "eats", "snowman"]
    filled = masked_lm.candidates(masked_lm.pieces(words), [1, 2], 4)
    assert all(filled) and filled[0] != nearest(VECTORS, ["cat"], 4)["cat"]
    table = pd.DataFrame({"text": [" ".join(words)], "label": [0]})
    made = augmented(table, tokenizer, masked_lm=masked_lm, candidates=4, probability=0.7, variants=500)
    seen = [set(column) - {word} for column, word in zip(zip(*made["text"].str.split()), words)]  # noqa: B905
    assert seen[0] == set()
    assert seen[1] == set(filled[0]) - {"cat"}
    assert seen[2] == set(filled[1]) - {"eats"}
    assert seen[3] == set(nearest(VECTORS, ["snowman"], 4)["snowman"])


def test_neighbours_of_a_capitalised_word_are_capitalised(tmp_path: Path) -> None:
    cased = toy.tokenizer(tmp_path, lowercase=False)
    made = augmented(pd.DataFrame({"text": ["Cat"], "label": [0]}), cased, candidates=2, variants=50)
    assert set(made["text"]) == {"Cat", "Dog", "Horse"}


@settings(max_examples=60)
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from([*toy.ANIMALS, "Cat", "EATS", "snowman", "the", "zebra", ".", "2", "\t", "é"]),
            max_size=8,
        ).map(" ".join),
        min_size=1,
        max_size=4,
    ),
    variants=st.integers(1, 12),
    candidates=st.integers(1, 5),
    probability=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**31),
)
def test_properties(
    tokenizer: BertTokenizerFast,
    texts: list[str],
    variants: int,
    candidates: int,
    probability: float,
    seed: int,
) -> None:
    """Originals first; variants differ in replaceable words only, by their candidates; none twice."""
    table = pd.DataFrame({"text": texts, "label": range(10, 10 + len(texts))})
    made = augmented(table, tokenizer, variants=variants, candidates=candidates, probability=probability, seed=seed)
    assert made["origin"].is_monotonic_increasing and set(made["origin"]) == set(range(len(texts)))
    assert (made["label"] == made["origin"] + 10).all()
    for origin, rows in made.groupby("origin")["text"]:
        first, *others = rows
        assert first == texts[int(origin)]
        words = BERT.words(tokenizer, first)
        assert len(others) <= variants
        assert len({" ".join(words), *others}) == len(others) + 1
        near = nearest(VECTORS, words, candidates)
        for other in others:
            changed = [index for index, word in enumerate(other.split(" ")) if word != words[index]]
            assert changed and len(other.split(" ")) == len(words)
            assert set(changed) <= set(replaceable(words))
            assert all(other.split(" ")[index] in near[words[index]] for index in changed)


def test_result_depends_neither_on_batches_nor_on_workers(tokenizer: BertTokenizerFast, masked_lm: MaskedLM) -> None:
    table = sentences(40, pair=True)
    one = augmented(table, tokenizer, masked_lm=masked_lm, batch_size=40, workers=1)
    assert len(one) > 200
    for batch_size, workers in [(1, 3), (7, 1), (40, 4)]:
        other = augmented(table, tokenizer, masked_lm=masked_lm, batch_size=batch_size, workers=workers)
        pd.testing.assert_frame_equal(one, other)


def test_a_row_s_variants_follow_from_the_seed_and_its_place_alone(tokenizer: BertTokenizerFast) -> None:
    table = sentences(20)
    whole = augmented(table, tokenizer)
    pd.testing.assert_frame_equal(whole[whole["origin"] < 5], augmented(table.head(5), tokenizer))
    assert not whole.equals(augmented(table, tokenizer, seed=1))
    twice = pd.DataFrame({"text": [table["text"][3]] * 2, "label": [0, 0]})
    first, second = (rows["text"].tolist() for _, rows in augmented(twice, tokenizer).groupby("origin"))
    assert first[0] == second[0] and first != second


def test_torch_threads_are_as_before(tokenizer: BertTokenizerFast, masked_lm: MaskedLM) -> None:
    before = torch.get_num_threads()
    augmented(sentences(3), tokenizer, masked_lm=masked_lm, workers=2)
    assert torch.get_num_threads() == before


def test_written_file(tokenizer: BertTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of `augment`, the same bytes for any batch size, in row groups of bounded size."""
    monkeypatch.setattr("confidistill.augmentation.augment._ROW_GROUP", 50)
    table = sentences(30, pair=True)
    arguments = {
        "architecture": BERT,
        "tokenizer": tokenizer,
        "vectors": VECTORS,
        "masked_lm": None,
        "variants": 10,
        "seed": 0,
    }
    rows = write_augmented(table, tmp_path / "a.parquet", **arguments)
    write_augmented(table, tmp_path / "b.parquet", batch_size=3, **arguments)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), augmented(table, tokenizer))
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert metadata.num_rows == rows > 100
    assert max(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)) == 50


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sentence": ["a"], "label": [0]}, "no column text: it has sentence, label"),
        ({"text": ["a"]}, "no column label"),
        ({"text": ["a", None], "label": [0, 1]}, "row 1: text is"),
        ({"text": ["a"], "text_pair": [3], "label": [0]}, "row 0: text_pair is 3, not text"),
    ],
)
def test_tables_that_cannot_be_augmented(
    tokenizer: BertTokenizerFast, tmp_path: Path, table: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        write_augmented(
            pd.DataFrame(table), tmp_path / "out.parquet",
            architecture=BERT, tokenizer=tokenizer, vectors=VECTORS, masked_lm=None, variants=2, seed=0,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_output(tmp_path: Path) -> None:
    """Three times the rows raise the peak by less than a fifth of what all of them would take in memory."""
    toy.tokenizer(tmp_path)
    printed = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    growth, output = map(int, printed.split())
    assert output > 40e6
    assert growth < output / 5


_PEAK = """
import resource, sys
from pathlib import Path
import pandas as pd
from transformers import BertTokenizerFast
from confidistill.architectures.bert import BERT
from confidistill.augmentation.augment import write_augmented
from tests.text import toy

folder = Path(sys.argv[1])
tokenizer = BertTokenizerFast.from_pretrained(folder)
peak = []
text = "the cat eats a fish , the dog sleeps " * 4
for rows in (4000, 12000):
    table = pd.DataFrame({"text": [text] * rows, "label": 0})
    write_augmented(
        table, folder / "out.parquet", architecture=BERT, tokenizer=tokenizer, vectors=toy.vectors(), masked_lm=None,
        variants=30, seed=0, workers=1,
    )
    peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(peak[1] - peak[0], pd.read_parquet(folder / "out.parquet").memory_usage(deep=True).sum())
"""


@needs("models/mlm-tiny")
def test_real_rows_with_the_real_masked_lm(tmp_path: Path) -> None:
    """Rows of RTE: candidates are known words; batches of 1, 4 and 12 rows and 1 or 2 workers agree."""
    masked_lm = MaskedLM(SHARED / "models" / "mlm-tiny")
    glove = "".join(f"{word} {x} {1 - x}\n" for word, x in [("saddam", 0.1), ("iraqi", 0.2), ("sarkozy", 0.9)])
    (tmp_path / "glove.txt").write_text(glove)
    convert(tmp_path / "glove.txt", tmp_path / "vectors")
    vectors = load_vectors(tmp_path / "vectors")
    rte = pd.read_csv(SHARED / "glue" / "RTE" / "train.tsv", sep="\t", quoting=3, nrows=12)
    table = rte.rename(columns={"sentence1": "text", "sentence2": "text_pair"}).assign(label=0)
    made = [
        augmented(table, masked_lm.tokenizer, vectors=vectors, masked_lm=masked_lm, batch_size=size, workers=workers)
        for size, workers in [(1, 1), (4, 2), (12, 1)]
    ]
    pd.testing.assert_frame_equal(made[0], made[1])
    pd.testing.assert_frame_equal(made[0], made[2])
    assert len(table) * 12 < len(made[0]) <= len(table) * 21
    for column in ("text", "text_pair"):
        assert (made[0].groupby("origin")[column].first() == table[column]).all()
