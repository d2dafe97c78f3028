"""The page: self-contained, escaped, bounded, the same bytes twice, and true to the metrics."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from confidistill.errors import UserError
from confidistill.report.page import EXAMPLES, OTHER_MEASURES, build_report, largest_differences, page
from confidistill.report.pair import Pair
from confidistill.report.tables import EXTRA_MEASURES, MEASURES
from tests.report.examples import HOSTILE, published_pair, synthetic_pair
from tests.shared import needs

SETTINGS = {"profile": "test", "tasks": {"movies": {"max_length": 64}}, "seeds": [1, 2]}
VERSIONS = {"confidistill": "0.1.0", "numpy": "2.4.0"}


class Outline(HTMLParser):
    """Tags with their attributes, and the tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


@pytest.fixture(scope="module")
def html() -> str:
    return page([synthetic_pair(text=HOSTILE), synthetic_pair(student="S_3L", noise=0.02)], SETTINGS, VERSIONS)


def test_the_page_asks_for_nothing_from_elsewhere(html: str) -> None:
    tags = Outline(html).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed"}
    for _, attributes in tags:
        for name in ("src", "srcset", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,"))
    assert not re.search(r"url\(|@import", html)
    for picture in re.findall(r"base64,([^\"]+)", html):
        svg = base64.b64decode(picture).decode()
        assert set(re.findall(r"href=\"(?!#)(.{22})", svg)) <= {"data:image/png;base64,"}


def test_the_page_is_well_formed_and_accessible(html: str) -> None:
    outline = Outline(html)
    assert outline.open == []
    assert ("html", {"lang": "en"}) in outline.tags
    pictures = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert len(pictures) == 2 * 2 * 4
    assert len({picture["alt"] for picture in pictures}) == len(pictures)
    identifiers = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    targets = {value for _, a in outline.tags for name, value in a.items() if name in ("href", "aria-labelledby")}
    assert {target.removeprefix("#") for target in targets} <= set(identifiers)
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")


def test_hostile_text_is_text(html: str) -> None:
    assert "<script" not in html and "<img src='http" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34;" in html


def test_hostile_names_settings_and_versions_are_text() -> None:
    pair = synthetic_pair(task=HOSTILE, student=HOSTILE)
    hostile = Pair(pair.task, pair.student, pair.measures, pair.predictions, pair.texts, [HOSTILE, HOSTILE])
    html = page([hostile], {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE})
    assert "<script" not in html
    assert Outline(html).open == []


def test_the_page_says_verdict_sigma_kappa_settings_and_versions(html: str) -> None:
    holding, failing = synthetic_pair(student="S_3L", noise=0.02), synthetic_pair()
    assert (holding.verdict(), failing.verdict()) == ("holds", "fails")
    assert "<strong>1 of 2</strong>" in html
    for pair in (holding, failing):
        for split in ("train", "dev"):
            for name in ("sigma", "sigma_low", "sigma_high", "sigma_released"):
                assert f"{pair.measures[split][name]:.4f}" in html
    assert html.count('class="verdict holds"') == html.count('class="verdict fails"') == 2
    assert "max_length: 64" in html and "numpy 2.4.0" in html


def test_what_holds_for_nothing_is_not_called_preserved() -> None:
    pair = synthetic_pair(student="S_3L", noise=0.02)
    pair.measures["train"]["accuracy_student"] = pair.measures["train"]["majority"]
    html = page([pair], SETTINGS, VERSIONS)
    opening = html[html.index('class="lede"') :].split("</p>")[0]
    assert "<strong>0 of 1</strong>" in opening and "Not meaningful, since a model" in opening
    assert "Not meaningful: the student does not beat the majority class" in html
    assert 'class="verdict not-meaningful"' in html and 'class="verdict holds"' not in html


def test_where_sigma_comes_from_is_shown(html: str) -> None:
    measured = synthetic_pair().measures["dev"]
    share = round(100 * measured["sigma_flips"] ** 2 / measured["sigma"] ** 2)
    assert 0 < share < 100
    assert f'aria-label="{share} % of σ² is on inputs that the models give different classes"' in html
    assert f"slope of the student's log-odds on the teacher's {measured['slope']:.2f};" in html


def test_every_measure_has_its_place() -> None:
    shown = {*OTHER_MEASURES, *MEASURES, *EXTRA_MEASURES}
    assert set(synthetic_pair().measures["train"]) <= shown


def test_the_largest_differences_are_the_largest() -> None:
    pair = synthetic_pair(classes=4)
    rows = largest_differences(pair, "dev")
    teacher, student = pair.predictions["dev"]
    top = teacher.probabilities.argmax(1)
    index = np.arange(len(top))
    delta = teacher.probabilities[index, top] - student.probabilities[index, top]
    order = np.argsort(-np.abs(delta))[:EXAMPLES]
    assert [row["delta"] for row in rows] == pytest.approx(delta[order].tolist())
    assert [row["text"] for row in rows] == [pair.texts["dev"][i] for i in order]
    for row, i in zip(rows, order, strict=True):
        chosen = [c for c in row["classes"] if c["teacher_chose"]]
        assert [c["name"] for c in chosen] == [f"class {top[i]}"]
        assert chosen[0]["teacher"] == teacher.probabilities[i].max()


def test_a_long_text_loses_its_middle_and_keeps_its_ends() -> None:
    shown = largest_differences(synthetic_pair(text="start " + "long " * 400))[0]["text"]
    assert shown.startswith("start long") and shown.endswith("of train") and " … " in shown
    assert len(shown) <= 610


def test_build_report_writes_all_files_the_same_twice_and_nothing_else(tmp_path: Path) -> None:
    names = ["report.html", "seeds.csv", "table.csv", "table.md", "table2.csv", "table2.md", "table2.tex"]
    names += ["variants.csv", "variants.md", "variants.tex"]
    for folder in ("a", "b"):
        written = build_report([synthetic_pair()], SETTINGS, VERSIONS, tmp_path / folder)
        assert sorted(written) == [tmp_path / folder / name for name in names]
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_to_report_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to report"):
        build_report([], SETTINGS, VERSIONS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs("published")
def test_a_real_pair_of_67349_examples_fits_in_the_bound() -> None:
    """Twelve pairs, the paper's whole table, stay under 5 MB."""
    html = page([published_pair("SST-2", "4L")], SETTINGS, VERSIONS)
    assert "67,349 examples" in html and "0.0459" in html
    assert len(html.encode()) < 5_000_000 / 12
