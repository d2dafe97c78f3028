"""Table 3: before and after are those measured, the guard and the verdict follow from them."""

import io

import pandas as pd
import pytest

from confidistill.report.tuned import Tuned, guard_kept, table3, table3_numbers, table3_renderings
from tests.report.examples import synthetic_pair


def tuned(task: str = "movies", loss: float = 0.0, held_out: bool = True) -> Tuned:
    """A student of much noise, then of little; on dev it loses `loss` of the untuned one's accuracy."""
    before, after = (
        {split: dict(synthetic_pair(noise=noise).measures[split]) for split in ("train", "dev")}
        for noise in (0.6, 0.02)
    )
    after["dev"]["accuracy_student"] = before["dev"]["accuracy_student"] - loss
    if not held_out:
        del after["dev"]
    return Tuned(task, "S_2L", before, after, "definition", 0.05)


def test_a_row_a_student_before_and_after() -> None:
    pair = tuned()
    row = table3([pair]).iloc[0]
    assert list(row.index) == [
        *(
            "task",
            "student",
            "acc Tr",
            "acc dev",
            "σ Tr",
            "σ dev",
            "σ released Tr",
            "σ released dev",
            "guard",
            "verdict",
        )
    ]
    assert row["σ Tr"] == f"{pair.before['train']['sigma']:.4f} → {pair.after['train']['sigma']:.4f}"
    assert row["acc dev"].split(" → ")[0] == row["acc dev"].split(" → ")[1]
    assert (row["guard"], row["verdict"]) == ("kept", "fails → holds")


def test_the_guard_is_one_point_on_any_split() -> None:
    assert table3([tuned(loss=0.009)])["guard"].tolist() == ["kept"]
    assert table3([tuned(loss=0.011)])["guard"].tolist() == ["LOST"]
    assert guard_kept({"accuracy_student": 0.9}, {"accuracy_student": 0.895})


def test_a_split_that_was_not_measured_is_a_dash() -> None:
    table = table3([tuned(), tuned("products", held_out=False)])
    assert table["σ dev"].tolist()[1] == table["acc dev"].tolist()[1] == "–"
    assert table["guard"].tolist() == ["kept", "kept"]


def test_every_form_has_every_student() -> None:
    pairs = [tuned("a_b"), tuned("products", loss=0.02)]
    forms = table3_renderings(pairs)
    read = pd.read_csv(io.StringIO(forms[".csv"]))
    pd.testing.assert_frame_equal(read, table3_numbers(pairs), check_exact=True, check_dtype=False)
    assert read["guard"].tolist() == [True, True, True, False]
    assert forms[".md"].splitlines()[2].startswith("| a_b | S_2L | ")
    assert r"a\_b & S\_2L & " in forms[".tex"] and r"fails $\to$ holds" in forms[".tex"]
    assert forms[".html"].count("<tr") == 3


def test_names_are_text_in_html() -> None:
    assert "<script" not in table3_renderings([tuned("<script>")])[".html"]


@pytest.mark.parametrize("suffix", [".csv", ".md", ".tex", ".html"])
def test_the_same_bytes_twice(suffix: str) -> None:
    assert table3_renderings([tuned()])[suffix] == table3_renderings([tuned()])[suffix]
