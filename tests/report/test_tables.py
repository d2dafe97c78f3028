"""Tables: the numbers are those of the metrics, in every form."""

import csv
import io

import pandas as pd
import pytest

from confidistill.report import tables
from confidistill.report.page import page
from confidistill.report.pair import Pair
from tests.report.examples import published_pair, synthetic_pair
from tests.shared import needs

PAIRS = [
    synthetic_pair("movies", "S_3L", noise=0.05),
    synthetic_pair("movies", "S_2L", noise=0.9),
    synthetic_pair("products", "S_3L", noise=0.4, classes=3),
]


def test_the_verdict_table_holds_the_metrics_and_the_verdict() -> None:
    table = tables.verdict_table(PAIRS)
    assert table[["task", "student", "split"]].to_numpy().tolist() == [
        [pair.task, pair.student, split] for pair in PAIRS for split in ("Tr", "dev")
    ]
    assert table["sigma"].tolist() == [pair.measures[split]["sigma"] for pair in PAIRS for split in ("train", "dev")]
    assert table["verdict"].tolist() == ["holds", "holds", "fails", "fails", "fails", "fails"]
    assert (table["verdict"] == table["sigma"].le(0.05).map({True: "holds", False: "fails"})).all()


def test_csv_keeps_every_digit() -> None:
    text = tables.renderings(PAIRS)["table.csv"]
    read = pd.read_csv(io.StringIO(text))
    pd.testing.assert_frame_equal(read, tables.verdict_table(PAIRS), check_exact=True, check_dtype=False)


def test_the_terminal_table_is_aligned_readable_and_names_a_pair_once() -> None:
    lines = tables.terminal_table(PAIRS).splitlines()
    assert len(lines) == 2 + 6 + 2
    assert max(map(len, lines)) <= 120
    assert lines[2].split()[:3] == ["movies", "S_3L", "Tr"]
    assert lines[3].split()[0] == "dev" and lines[3].endswith("(holds)")
    column = lines[0].index("verdict")
    assert [line[column:] for line in lines[2:8]] == [
        "holds",
        "(holds)",
        "fails",
        "(fails)",
        "fails",
        "(fails)",
    ]
    assert "σ definition ≤ κ = 0.05 on Tr" in " ".join(lines[8:])


def test_table2_has_a_column_a_student_and_a_dash_where_one_was_not_run() -> None:
    table = tables.table2(PAIRS)
    assert list(table.columns) == [
        "task",
        "split",
        "T acc/ECE",
        "S_3L acc/ECE",
        "S_2L acc/ECE",
        "σ S_3L",
        "σ S_2L",
    ]
    assert len(table) == 4
    assert table.loc[2, "S_2L acc/ECE"] == table.loc[2, "σ S_2L"] == "–"
    assert table.loc[0, "σ S_2L"] == f"{PAIRS[1].measures['train']['sigma_released']:.4f}"
    assert tables.table2(PAIRS, "definition").loc[0, "σ S_2L"] == f"{PAIRS[1].measures['train']['sigma']:.4f}"


def test_markdown_and_latex_escape_and_hold_every_cell() -> None:
    table = pd.DataFrame({"task": ["a|b_c & 5 %"], "split": ["Tr"], "σ x": ["–"]})
    assert tables.markdown(table) == "| task | split | σ x |\n| :-- | :-- | --: |\n| a\\|b_c & 5 % | Tr | – |\n"
    latex = tables.latex(table)
    assert r"\begin{tabular}{llr}" in latex and r"task & split & $\sigma$ x \\" in latex
    assert r"a|b\_c \& 5 \% & Tr & -- \\" in latex


def test_f1_and_mcc_are_columns_only_where_a_task_is_judged_by_them() -> None:
    plain, judged = synthetic_pair("movies"), synthetic_pair("products")
    for name in tables.EXTRA_MEASURES:
        for split in ("train", "dev"):
            plain.measures[split].pop(name, None)
    assert not set(tables.EXTRA_MEASURES) & set(tables.verdict_table([plain]).columns)
    table = tables.verdict_table([plain, judged])
    assert table["mcc_student"].isna().tolist() == [True, True, False, False]
    assert table["f1_teacher"].iloc[2] == judged.measures["train"]["f1_teacher"]


def test_a_measure_without_examples_is_a_dash() -> None:
    pair = synthetic_pair()
    pair.measures["train"]["sigma_released"] = float("nan")
    assert tables.display_table([pair]).loc[0, "σ released (left out)"] == "–"


def test_released_is_shown_with_what_it_leaves_out() -> None:
    pair = synthetic_pair()
    measured = pair.measures["dev"]
    shown = f"{measured['sigma_released']:.4f} ({100 * measured['released_left_out']:.1f} %)"
    assert tables.display_table([pair]).loc[1, "σ released (left out)"] == shown


def test_a_verdict_that_is_none_is_explained() -> None:
    nothing_learnt = synthetic_pair()
    nothing_learnt.measures["train"]["accuracy_student"] = nothing_learnt.measures["train"]["majority"]
    assert tables.display_table([nothing_learnt])["verdict"].tolist() == ["not meaningful", "(fails)"]
    assert "not meaningful: too few rows, or a model that does not beat" in " ".join(tables.legend([nothing_learnt]))
    assert "not meaningful" not in " ".join(tables.legend(PAIRS))


@needs("published")
@pytest.mark.parametrize(
    ("task", "student", "train", "dev"),
    [
        ("SST-2", "4L", ["98.4/3.6", "97.0/3.5", "0.0459"], ["93.0/1.6", "89.4/2.9", "0.0752"]),
        ("RTE", "6L", ["94.8/22.1", "84.3/14.9", "0.0618"], ["65.3/9.0", "66.8/9.9", "0.0921"]),
    ],
)
def test_table2_of_the_published_predictions_is_the_paper_s(
    task: str, student: str, train: list[str], dev: list[str]
) -> None:
    rows = list(csv.reader(io.StringIO(tables.renderings([published_pair(task, student)])["table2.csv"])))
    assert rows[1:] == [[task, "Tr", *train], [task, "dev", *dev]]


def test_a_part_of_a_split_is_marked_and_told() -> None:
    part = Pair(**{**vars(synthetic_pair("QQP", "S_2L")), "official_rows": {"train": 363_846}})
    pairs = [PAIRS[0], part]
    note = "* A part of the official split: QQP Tr 300 of 363,846 rows."
    assert tables.verdict_table(pairs)["official_rows"].tolist() == [300, 300, 363_846, 300]
    assert tables.display_table(pairs)["split"].tolist() == ["Tr", "dev", "Tr*", "dev"]
    assert tables.display_table(pairs).loc[2, "verdict"] == "fails"
    assert tables.table2(pairs)["split"].tolist() == ["Tr", "dev", "Tr*", "dev"]
    for text in (tables.terminal_table(pairs), *(tables.renderings(pairs)[name] for name in ("table.md", "table2.md"))):
        assert text.strip().endswith(note)
    html = page(pairs, {}, {})
    assert note in html
    assert html.count(">Tr*<") == 3
    assert "official" not in "".join(tables.renderings(PAIRS).values())
