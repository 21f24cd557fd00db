"""What convia saves loads in tf.keras too; needs a Python with TensorFlow, named by ``CONVIA_TENSORFLOW``."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from architectures import ARCHITECTURES, layer_in_two_models
from test_with_keras import data_for, randomize

import convia

PYTHON = os.environ.get("CONVIA_TENSORFLOW")
OF_KERAS_3 = ("functions", "operators", "slices")  # functions in graphs have no form that both libraries read


@pytest.mark.skipif(not PYTHON, reason="CONVIA_TENSORFLOW names no Python with TensorFlow")
def test_predictions(tmp_path: Path) -> None:
    for make in ARCHITECTURES:
        model = randomize(make(convia))
        model.compile("adam", "mse")
        model.save(tmp_path / f"{make.__name__}.h5")
        if make is not layer_in_two_models:  # shared by its models; .h5 files cannot say so
            model.save_weights(tmp_path / f"{make.__name__}.weights.h5")
        x = data_for(model)
        arrays = {f"x{place}": value for place, value in enumerate(convia.tree.flatten(x))}
        outputs = convia.tree.flatten(model.predict(x, verbose=0))
        arrays |= {f"y{place}": value for place, value in enumerate(outputs)}
        np.savez(tmp_path / make.__name__, **arrays)
    script = Path(__file__).with_name("load_in_tensorflow.py")
    run = subprocess.run([str(PYTHON), script, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    assert found.keys() == {f"{make.__name__}.h5" for make in ARCHITECTURES}
    refused = {Path(name).stem for name, value in found.items() if isinstance(value, str)}
    assert refused == set(OF_KERAS_3), json.dumps(found, indent=1)
    assert max(value for value in found.values() if not isinstance(value, str)) < 2e-5, json.dumps(found, indent=1)
