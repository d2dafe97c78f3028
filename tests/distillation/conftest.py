"""Tiny models and tables that every test of distillation shares."""

from pathlib import Path

import pytest

from tests.distillation import stages


@pytest.fixture(scope="session")
def assets(tmp_path_factory) -> Path:
    """base/ (4 layers of 24), plain/ (the same without dropout), a student of each, tables with logits, a corpus."""
    return stages.write_assets(tmp_path_factory.mktemp("assets"))
