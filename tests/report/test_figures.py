"""Figures: real pictures, the same bytes twice, and nothing of the process's state changed."""

import io
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from confidistill.report import figures
from tests.report.examples import synthetic_pair


@pytest.mark.parametrize("name", figures.PANELS)
@pytest.mark.parametrize("protocol", ["definition", "released"])
def test_a_panel_shows_ink_and_is_the_same_bytes_twice(name: str, protocol: str) -> None:
    pair = synthetic_pair(classes=3, protocol=protocol)
    once, again = (figures.rendered(figures.panel(pair, "train", name), "png") for _ in range(2))
    assert once == again
    picture = Image.open(io.BytesIO(once)).convert("RGB")
    width, height = figures.PANEL_INCHES
    assert picture.size == (round(width * 160), round(height * 160))
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 20


def test_saved_figures_are_byte_identical_and_name_no_date_or_version(tmp_path: Path) -> None:
    pair = synthetic_pair(task="$movies$_x")
    for folder in ("a", "b"):
        for name, figure in figures.draw(pair).items():
            figures.save_figure(figure, tmp_path / folder / name)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {f"figure2-{split}.{suffix}" for split in ("train", "dev") for suffix in ("png", "svg")}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    svg = (tmp_path / "a" / "figure2-train.svg").read_text()
    assert "$movies$_x" in svg  # a name is not read as mathematics
    assert "Matplotlib" not in svg and not re.search(r"<dc:date>", svg)
    assert set(Image.open(tmp_path / "a" / "figure2-train.png").info) <= {"dpi"}


def test_the_difference_panel_names_sigma_and_kappa_of_the_protocol_that_judges() -> None:
    for protocol, measure in (("definition", "sigma"), ("released", "sigma_released")):
        pair = synthetic_pair(protocol=protocol, kappa=0.07)
        svg = figures.rendered(figures.panel(pair, "train", "difference"), "svg").decode()
        assert f"±σ {pair.measures['train'][measure]:.4f}" in " ".join(svg.split())
        assert "±κ 0.07" in " ".join(svg.split())


def test_drawing_leaves_no_global_state() -> None:
    before = dict(matplotlib.rcParams)
    figures.figure2(synthetic_pair(), "dev")
    assert dict(matplotlib.rcParams) == before


def test_records_have_the_columns_of_the_plot_templates() -> None:
    tables = figures.records(synthetic_pair())
    assert {name: list(table.columns) for name, table in tables.items()} == {
        "densities": ["x", "density", "curve"],
        "reliability": ["confidence", "accuracy", "examples", "model"],
        "scatter": ["teacher", "student", "classes"],
    }
