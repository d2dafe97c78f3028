"""GLUE as found in the wild: the real files where they are at hand, and files with every known oddity."""

from pathlib import Path

import pandas as pd
import pytest

from confidistill.errors import UserError
from confidistill.text.glue import TASKS, read_glue
from tests.shared import SHARED, needs

GLUE = SHARED / "glue"


@needs("glue")
@pytest.mark.parametrize(
    ("name", "train", "dev", "positive"),
    [
        # Shares of label 1 in dev: the published class balances.
        ("SST-2", 67349, 872, 444),
        ("RTE", 2490, 277, 131),
        ("MRPC", 3668, 408, 279),
        ("CoLA", 8551, 1043, 721),
        ("QNLI", 12259, 5463, 2761),
        ("QQP", 7600, 2000, None),
    ],
)
def test_the_real_files(name, train, dev, positive):
    splits = read_glue(name, GLUE / name)
    assert {split: len(table) for split, table in splits.items()} == {"train": train, "dev": dev}
    assert positive is None or int(splits["dev"]["label"].sum()) == positive
    for table in splits.values():
        assert list(table) == ["text", *(["text_pair"] if len(TASKS[name].columns) == 2 else []), "label"]
        assert not any(table["text"].str.contains("\t|\r|\ufeff"))


@needs("glue")
def test_the_last_row_without_a_newline_counts():
    assert (GLUE / "CoLA" / "dev.tsv").read_bytes().count(b"\n") == 1042
    assert len(read_glue("CoLA", GLUE / "CoLA")["dev"]) == 1043


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        (folder / f"{name}.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


RTE = "index\tsentence1\tsentence2\tlabel\n0\tA cat sleeps.\tAn animal sleeps.\tentailment\n"
MORE = "1\tA dog eats.\tA cat eats.\tnot_entailment\n"


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    windows = ("\ufeff" + RTE + MORE).replace("\n", "\r\n")
    splits = read_glue("RTE", write(tmp_path, train=windows, dev=RTE))
    assert splits["train"]["text"].tolist() == ["A cat sleeps.", "A dog eats."]
    assert splits["train"]["label"].tolist() == [0, 1]


def test_stray_quotes_stay_where_quotes_mean_nothing(tmp_path):
    # A CSV reader would swallow the second row into the first.
    stray = 'sentence\tlabel\n"a film of its own\t1\nworth a look " , he said\t0\n'
    train = read_glue("SST-2", write(tmp_path, train=stray, dev=stray))["train"]
    assert train["text"].tolist() == ['"a film of its own', 'worth a look " , he said']
    assert train["label"].tolist() == [1, 0]


def test_the_quotes_of_qqp_are_those_of_csv(tmp_path):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    rows = '0\t1\t2\t"What is ""now""?"\tWhen is "now" ?\t0\n'
    train = read_glue("QQP", write(tmp_path, train=header + rows, dev=header + rows))["train"]
    assert train.iloc[0].tolist() == ['What is "now"?', 'When is "now" ?', 0]


def test_a_question_of_qqp_may_hold_a_line_break(tmp_path):
    # The official train.tsv has such rows; a reader of lines sees a row of three fields (nyu-mll/GLUE-baselines #5).
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    rows = '0\t1\t2\t"Who\nwas she?\n"\tWho was that?\t0\n1\t3\t4\ta\tb\t1\n'
    train = read_glue("QQP", write(tmp_path, train=header + rows, dev=header + rows))["train"]
    assert train["text"].tolist() == ["Who\nwas she?", "a"]
    (tmp_path / "dev.tsv").write_text(header + rows + '2\t5\t6\t"never closed\tb\t1\n')
    with pytest.raises(UserError, match=r"dev.tsv: line 6: unexpected end of data: check the quotes"):
        read_glue("QQP", tmp_path)


def test_cola_has_no_header(tmp_path):
    rows = "gj04\t1\t\tThe cat slept.\ngj04\t0\t*\tThe cat slept the.\n"
    train = read_glue("CoLA", write(tmp_path, train=rows, dev=rows))["train"]
    assert train["text"].tolist() == ["The cat slept.", "The cat slept the."]
    assert train["label"].tolist() == [1, 0]


MNLI = "index\tsentence1\tsentence2\tlabel1\tgold_label\n"


def test_mnli_has_two_dev_sets(tmp_path):
    splits = read_glue(
        "MNLI",
        write(
            tmp_path,
            train=MNLI + "0\ta\tb\tx\tneutral\n1\tc\td\tx\tcontradiction\n2\te\tf\tx\tentailment\n",
            dev_matched=MNLI + "0\tg\th\tx\tentailment\n",
            dev_mismatched=MNLI + "0\ti\tj\tx\tneutral\n",
        ),
    )
    assert splits["train"]["label"].tolist() == [1, 2, 0]
    assert splits["dev"]["text"].tolist() == ["g"]
    assert splits["dev_mismatched"]["text"].tolist() == ["i"]


def test_wnli_holds_ids(tmp_path):
    rows = "index\tsentence1\tsentence2\tlabel\n0\tIt fell.\tThe cup fell.\t1\n1\tIt fell.\tThe table fell.\t0\n"
    train = read_glue("WNLI", write(tmp_path, train=rows, dev=rows))["train"]
    assert [TASKS["WNLI"].label_names[label] for label in train["label"]] == ["entailment", "not_entailment"]


@pytest.mark.parametrize("name", TASKS)
def test_the_hubs_files_give_the_same_as_tsv(tmp_path, name):
    """Rows written in both layouts, with the label ids and column names of the hub's data set cards."""
    task = TASKS[name]
    labels = list(range(len(task.label_names))) * 2
    texts = [[f"text {index} of {name}", f"pair {index}"][: len(task.columns)] for index in range(len(labels))]
    (tmp_path / "tsv").mkdir()
    (tmp_path / "hub" / task.hub).mkdir(parents=True)
    hub_splits = {"train": "train", "dev": "validation", "dev_mismatched": "validation_mismatched"}
    if name == "MNLI":
        hub_splits["dev"] = "validation_matched"
    for split in task.official_rows:
        spelled = [task.label_names[label] if task.spelled else str(label) for label in labels]
        if name == "CoLA":
            lines = [f"gj04\t{label}\t\t{text[0]}" for text, label in zip(texts, spelled, strict=True)]
        else:
            lines = ["\t".join([*task.columns, task.label])]
            lines += ["\t".join([*text, label]) for text, label in zip(texts, spelled, strict=True)]
        (tmp_path / "tsv" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
        hub = pd.DataFrame(texts, columns=list(task.hub_columns)).assign(label=labels, idx=range(len(labels)))
        # Two shards, as large splits have.
        for shard, half in enumerate((hub.iloc[:2], hub.iloc[2:])):
            half.to_parquet(tmp_path / "hub" / task.hub / f"{hub_splits[split]}-0000{shard}-of-00002.parquet")
    from_tsv, from_hub = read_glue(name, tmp_path / "tsv"), read_glue(name, tmp_path / "hub")
    assert from_tsv.keys() == from_hub.keys() == task.official_rows.keys()
    for split, table in from_tsv.items():
        pd.testing.assert_frame_equal(table, from_hub[split])
        assert table["label"].tolist() == labels


def test_label_ids_are_the_hubs():
    # From the data set card of nyu-mll/glue; WNLI's differs from RTE's and QNLI's.
    assert TASKS["RTE"].label_names == TASKS["QNLI"].label_names == ("entailment", "not_entailment")
    assert TASKS["WNLI"].label_names == ("not_entailment", "entailment")
    assert TASKS["MNLI"].label_names == ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"dev.tsv: no such file"),
        ("", r"dev.tsv: empty: it has no line of text"),
        ("index\tsentence1\tsentence2\tlabel\n", r"dev.tsv: empty: it has a header and no row"),
        (RTE + "1\tA dog eats.\n", r"dev.tsv: line 3: 2 fields, needs 4: separate them with tabs"),
        (RTE + "1\ta\tb\tmaybe\n", r"dev.tsv: line 3: unknown label 'maybe': RTE has entailment, not_entailment"),
        (RTE.encode() + b"1\tcaf\xe9\tb\tentailment\n", r"dev.tsv: line 3: not UTF-8: convert the file to UTF-8"),
        (RTE.replace("label", "gold"), r"dev.tsv: line 1: no column 'label': the header has index, sentence1"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    write(tmp_path, train=RTE, **({} if content is None else {"dev": content}))
    with pytest.raises(UserError, match=message) as raised:
        read_glue("RTE", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_bad_file_of_the_hub_is_named(tmp_path):
    (tmp_path / "rte").mkdir()
    train = tmp_path / "rte" / "train-00000-of-00001.parquet"
    pd.DataFrame({"sentence1": ["a"], "sentence2": ["b"], "label": [0]}).to_parquet(train)
    with pytest.raises(UserError, match=r"rte: no file validation-\*.parquet: add it to `files`"):
        read_glue("RTE", tmp_path)
    pd.DataFrame({"sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [0, -1]}).to_parquet(train)
    with pytest.raises(UserError, match=r"train-00000-of-00001.parquet: row 2: unknown label -1"):
        read_glue("RTE", tmp_path)
    pd.DataFrame({"premise": ["a"], "label": [0]}).to_parquet(train)
    with pytest.raises(UserError, match=r"no column 'sentence1': it has premise, label"):
        read_glue("RTE", tmp_path)


def test_label_names_that_a_hub_file_carries_are_checked(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    texts = {"sentence1": Value("string"), "sentence2": Value("string")}
    rows = {"sentence1": ["a"], "sentence2": ["b"], "label": [0]}
    (tmp_path / "rte").mkdir()
    for names, fits in ((["entailment", "not_entailment"], True), (["not_entailment", "entailment"], False)):
        for stem in ("train", "validation"):
            features = Features({**texts, "label": ClassLabel(names=names)})
            Dataset.from_dict(rows, features).to_parquet(tmp_path / "rte" / f"{stem}-00000-of-00001.parquet")
        if fits:
            assert read_glue("RTE", tmp_path)["train"]["label"].tolist() == [0]
        else:
            with pytest.raises(UserError, match="the labels are not_entailment, entailment, expected entailment"):
                read_glue("RTE", tmp_path)
