"""A share of ``tools/soak.py``: training and predicting again and again leaves nothing behind."""

import runpy
import sys
from pathlib import Path

import pytest

SOAK = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "soak.py"))
Held = SOAK["Held"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_and_files_do_not_grow():
    for name, before, after in SOAK["soak"](12, 100):
        grown = [each for each in SOAK["judge"](before, after) if not each.startswith("memory")]
        assert not grown, name  # memory needs the long run: a few fits still fill caches


@pytest.mark.parametrize(
    "after, grown",
    [
        ((104, 2, 3), []),
        ((105, 2, 3), ["memory by 5.0%"]),
        ((90, 3, 4), ["threads from 2 to 3", "files from 3 to 4"]),
    ],
)
def test_growth_is_seen(after, grown):
    assert SOAK["judge"](Held(100, 2, 3), Held(*after)) == grown
