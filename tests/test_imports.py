"""Imports without collections of garbage."""

import gc

import pytest

from confidistill.imports import importing


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()


def test_no_garbage_is_looked_for_in_the_block_and_what_it_made_is_left_alone_after_it():
    phases = []
    gc.callbacks.append(lambda phase, info: phases.append(phase))
    try:
        with importing():
            made = [[] for _ in range(10_000)]
        assert phases == []
        assert gc.get_freeze_count() >= len(made)
        assert gc.isenabled()
    finally:
        gc.callbacks.pop()


def test_an_import_that_fails_leaves_the_collector_on():
    with pytest.raises(ModuleNotFoundError), importing():
        import a_package_that_is_not_there  # noqa: F401
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
