"""Numbers and names that tf.keras 2.15 gave: what changes silently between the eras."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from convia.compat import programs

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import cases

GOLDEN = json.loads(cases.FILE.read_text())


def close(found, wanted):
    """Equal, numbers up to float32's round-off."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            close(found[key], wanted[key])
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], (list, float)):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-6)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", cases.CASES)
@pytest.mark.filterwarnings("ignore")
def test_the_era_of_tf_keras_gives_its_own_results(name):
    with programs.using("tfkeras"):
        keras = importlib.import_module("keras")
        close(cases.CASES[name](keras, None), GOLDEN[name])
