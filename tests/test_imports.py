"""Imports without collections of garbage, and with an OpenMP whose threads wait briefly."""

import gc
import os
import subprocess
import sys

import pytest

from confidistill.imports import SPINS, importing


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


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is torch's OpenMP on Linux")
@pytest.mark.parametrize(
    ("own", "told"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_openmp_spins_no_longer_than_we_or_the_user_say(own, told):
    imports = "from confidistill.imports import importing\nwith importing():\n    import torch"
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = clean | {"OMP_DISPLAY_ENV": "VERBOSE"} | own
    done = subprocess.run([sys.executable, "-c", imports], env=environment, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{told}'" in done.stderr
