"""For every test."""

import os
import signal
from collections.abc import Sequence

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # of which there is one a core: before torch is imported
    os.environ["OMP_NUM_THREADS"] = "1"

# A runner started in the background of a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("everywhere", deadline=None, derandomize=True)  # the same examples, on a slow machine too
settings.load_profile("everywhere")

# Files of few tests that take long: begun last, each would be waited for alone.
FIRST: Sequence[str] = (
    "tests/flows/test_own_graph.py",
    "tests/flows/test_pool.py",
    "tests/flows/test_pipeline.py",
    "tests/flows/search/test_search.py",
    "tests/tasks/test_pipeline.py",
    "tests/distillation/test_resume.py",
    "tests/distillation/test_torchrun.py",
    "tests/distillation/test_families.py",
    "tests/export/test_families.py",
    "tests/export/test_pipeline.py",
    "tests/test_cli.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first; within a file, and among the others, the order stays."""
    files = [item.nodeid.partition("::")[0] for item in items]
    place = {name: FIRST.index(name) if name in FIRST else len(FIRST) for name in files}
    items.sort(key=lambda item: place[item.nodeid.partition("::")[0]])
