"""The pages of the documentation point at what is there."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_pages_on_the_pipeline_name_every_stage():
    stages = set(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])
    named = {
        page: set(re.findall(r"`(\w+)`", (ROOT / "docs" / page).read_text()))
        for page in ("pipeline.md", "architecture.md")
    }
    assert stages - named["pipeline.md"] == set()
    of_a_row = {"download_data", "augment", "finetune_teacher", "predict_teacher", "distill_intermediate"}
    assert of_a_row | {"distill_prediction", "evaluate", "report"} <= named["architecture.md"] & stages
