"""Examples, batches and their order."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from confidistill.distillation.data import BucketedBatches, Examples, Sequences, collator, used_ids
from confidistill.distillation.token_file import TOKEN
from confidistill.distillation.validation import check_length, check_targets
from confidistill.errors import UserError
from confidistill.text.tokens import load_tokenizer

SIZES = {"count": st.integers(1, 300), "batch_size": st.sampled_from([1, 2, 4, 12]), "seed": st.integers(0, 5)}


@given(**SIZES, epoch=st.integers(0, 3), processes=st.sampled_from([1, 2, 3]))
def test_processes_share_each_batch_and_miss_nothing(count, batch_size, seed, epoch, processes):
    lengths = np.random.default_rng(0).integers(3, 60, count)
    shares = [
        BucketedBatches(lengths, batch_size, seed, process=process, processes=processes) for process in range(processes)
    ]
    for share in shares:
        share.set_epoch(epoch)
    batches = shares[0].global_batches()
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    whole = BucketedBatches(lengths, batch_size, seed)
    whole.set_epoch(epoch)
    assert [batch.tolist() for batch in batches] == list(whole)
    taken = [list(share) for share in shares]
    assert {len(batches)} == {len(share) for share in shares} == {len(steps) for steps in taken}
    values = np.random.default_rng(1).normal(size=count)
    for step, batch in enumerate(batches):
        weights = [share.weight(step) for share in shares]
        assert set(batch) == {
            index for steps, weight in zip(taken, weights, strict=True) if weight for index in steps[step]
        }
        means = [weight * values[steps[step]].mean() for steps, weight in zip(taken, weights, strict=True)]
        assert np.mean(means) == pytest.approx(values[batch].mean())


def test_one_process_counts_every_batch_fully():
    batches = BucketedBatches([5] * 10, 4, 0)
    assert [batches.weight(step) for step in range(len(batches))] == [1.0, 1.0, 1.0]


def test_order_depends_on_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(3, 60, 100)

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = BucketedBatches(lengths, 8, seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_batches_hold_examples_of_like_length_but_come_in_no_order_of_length():
    lengths = np.random.default_rng(0).integers(3, 128, 1600)
    widths = np.array([lengths[batch].max() for batch in BucketedBatches(lengths, 16, 0).global_batches()])
    assert 16 * widths.sum() < 1.05 * lengths.sum()  # under 5 % of padding; a random order has 85 %
    assert 0.3 < (np.diff(widths) > 0).mean() < 0.7


def test_batch_is_padded_to_its_longest():
    examples = [
        {"input_ids": np.array([2, 9, 3]), "token_type_ids": np.array([0, 0, 1]), "labels": np.int64(1)},
        {"input_ids": np.array([2, 3]), "token_type_ids": np.array([0, 1]), "labels": np.int64(0)},
    ]
    batch = collator(pad_token_id=7)(examples)
    assert batch["input_ids"].tolist() == [[2, 9, 3], [2, 3, 7]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_pairs_have_two_segments_and_the_longer_text_is_cut(assets):
    tokenizer = load_tokenizer(assets / "base")
    table = pd.DataFrame({"text": ["the film was great and lovely"], "text_pair": ["the plot"], "label": [1]})
    example = Examples(tokenizer, table, max_length=8)[0]
    tokens = tokenizer.convert_ids_to_tokens(example["input_ids"])
    assert " ".join(tokens) == "[CLS] the film was [SEP] the plot [SEP]"
    assert example["token_type_ids"].tolist() == [0] * 5 + [1] * 3
    assert example["labels"] == 1


def test_truncation_does_not_stay_in_the_tokenizer(assets):
    tokenizer = load_tokenizer(assets / "base")
    Examples(tokenizer, pd.DataFrame({"text": ["the film was great"]}), max_length=4)
    assert tokenizer.backend_tokenizer.truncation is None
    assert tokenizer.backend_tokenizer.padding is None


SENTENCES = ["the film", "a very dull plot", "great", "music was great and lovely", "", "the plot was the film"]


@pytest.mark.parametrize("together", [1, 4, 1000])
def test_examples_are_what_the_tokenizer_gives_row_by_row(assets, monkeypatch, together):
    monkeypatch.setattr("confidistill.distillation.data.TOKENISED_TOGETHER", together)
    monkeypatch.setattr("confidistill.distillation.token_file.READ_TOGETHER", 5)
    tokenizer = load_tokenizer(assets / "base")
    table = pd.DataFrame({"text": SENTENCES, "text_pair": SENTENCES[::-1]})
    for columns, most in ((["text"], 64), (["text", "text_pair"], 9)):
        asked = {"truncation": "longest_first", "max_length": most, "return_token_type_ids": True}
        expected = [
            {name: ids[0] for name, ids in tokenizer(*([text] for text in row), **asked).items()}
            for row in table[columns].itertuples(index=False)
        ]
        examples = Examples(tokenizer, table[columns], most)
        assert examples.lengths.tolist() == [len(row["input_ids"]) for row in expected]
        assert len(examples) == len(table)
        for index, row in enumerate(expected):
            assert examples[index]["input_ids"].tolist() == row["input_ids"]
            assert examples[index]["token_type_ids"].tolist() == row["token_type_ids"]
        ids = {token for row in expected for token in row["input_ids"]}
        assert used_ids(examples, 0).tolist() == sorted(ids | {0})


def test_memory_does_not_hold_the_tokens(assets):
    tokenizer = load_tokenizer(assets / "base")
    table = pd.DataFrame({"text": ["the film was great and lovely"] * 20_000})
    Examples(tokenizer, table.head(2), 16)  # what is loaded once
    tracemalloc.start()
    examples = Examples(tokenizer, table, 16)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tokens = int(examples.lengths.sum())
    assert tokens == 8 * len(examples)
    assert held < 24 * len(examples) < TOKEN.itemsize * tokens  # a row: its length and its end


def test_sequences_are_one_segment(monkeypatch):
    monkeypatch.setattr("confidistill.distillation.data.READ_TOGETHER", 4)
    sequences = Sequences(np.array([[2, 5, 3], [2, 6, 3]], np.int32))
    assert used_ids(sequences, 0).tolist() == [0, 2, 3, 5, 6]
    example = sequences[1]
    assert example["input_ids"].tolist() == [2, 6, 3]
    assert example["token_type_ids"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"text": []}, "the table has no row: give it at least one"),
        ({"body": ["a"]}, "the table has no column 'text': it has body"),
        ({"text": ["a", None]}, "row 1, column 'text': no text: fill it in or drop the row"),
        ({"text": ["a"], "text_pair": [None]}, "row 0, column 'text_pair': no text: fill it in or drop the row"),
    ],
)
def test_text_that_is_not_there(assets, table, message):
    with pytest.raises(UserError) as error:
        Examples(load_tokenizer(assets / "base"), pd.DataFrame(table), 8)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"logit0": [0.0]}, "train: no column 'label': it has logit0"),
        ({"label": [0], "logit0": [0.0]}, "train: no column 'logit1': it has label, logit0"),
        ({"label": [2]} | {f"logit{i}": [0.0] for i in range(2)}, "train: row 0, column 'label': 2 is not a label"),
        ({"label": [0, 1], "logit0": [0.0, np.nan], "logit1": [0.0, 0.0]}, "train: row 1, column 'logit0': nan is not"),
        (
            {"label": [0]} | {f"logit{i}": [0.0] for i in range(3)},
            "train: has column 'logit2', but there are 2 classes",
        ),
    ],
)
def test_targets_that_are_not_there(table, message):
    with pytest.raises(UserError) as error:
        check_targets(pd.DataFrame(table), "train", 2, logits=True)
    assert str(error.value).startswith(message)


def test_longer_than_the_model_reads(assets):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(assets / "base")
    check_length(64, config)
    with pytest.raises(UserError, match="takes at most 64 tokens, not 65: lower max_length"):
        check_length(65, config)
