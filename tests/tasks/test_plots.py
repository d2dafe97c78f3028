"""`dvc plots show`: the report's colours, and a page that asks the internet for nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from confidistill.report import curves, figures
from tests.report.examples import synthetic_pair

ROOT = Path(__file__).parents[2]
PAIR = synthetic_pair("movies", "S_2L")


@pytest.mark.parametrize(
    ("template", "names"), [("densities", curves.densities), ("reliability", curves.reliabilities)]
)
def test_a_model_has_the_same_colour_everywhere(template, names):
    colour = json.loads((ROOT / ".dvc" / "plots" / f"{template}.json").read_text())["spec"]["encoding"]["color"]
    assert colour["scale"]["domain"] == list(names(PAIR)[colour["field"]].unique())
    expected = [figures.COLOURS[name.removesuffix(" confidence")] for name in colour["scale"]["domain"]]
    assert colour["scale"]["range"] == expected


def test_the_page_brings_its_scripts(tmp_path):
    for name in (".dvc/config", ".dvc/.gitignore", ".dvc/plots/densities.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    curves.densities(PAIR).to_csv(tmp_path / "densities.csv", index=False)
    (tmp_path / "dvc.yaml").write_text("plots:\n  - densities.csv: {template: densities, x: x, y: density}\n")
    for command in (["tasks.plots_page"], ["dvc", "plots", "show"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == 0
    page = (tmp_path / "dvc_plots" / "index.html").read_text()
    assert "vegaEmbed" in page and "student confidence" in page
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page)
    status = subprocess.run(["git", "status", "--short", ".dvc"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "plots.html" not in status and "config.local" not in status
