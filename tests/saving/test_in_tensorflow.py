"""What convia saves loads in tf.keras too; needs a Python with TensorFlow, named by ``CONVIA_TENSORFLOW``."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from architectures import ARCHITECTURES
from test_with_keras import data_for, randomize

import convia

PYTHON = os.environ.get("CONVIA_TENSORFLOW")
OF_KERAS_3 = {  # their .h5 files have functions or models in graphs, which have Keras 3's form only
    "functions",
    "operators",
    "slices",
    "backbone_and_head",
    "deeply_nested",
    "nested_functional",
    "nested_output",
    "layer_in_two_models",
}


@pytest.mark.skipif(not PYTHON, reason="CONVIA_TENSORFLOW names no Python with TensorFlow")
def test_predictions(tmp_path: Path) -> None:
    for make in ARCHITECTURES:
        model = randomize(make(convia))
        model.compile("adam", "mse")
        model.save(tmp_path / f"{make.__name__}.h5")
        x = data_for(model)
        arrays = {f"x{place}": value for place, value in enumerate(convia.tree.flatten(x))}
        outputs = convia.tree.flatten(model.predict(x, verbose=0))
        arrays |= {f"y{place}": value for place, value in enumerate(outputs)}
        np.savez(tmp_path / make.__name__, **arrays)
    script = Path(__file__).with_name("load_in_tensorflow.py")
    run = subprocess.run([str(PYTHON), script, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    wrong = {
        name: value
        for name, value in found.items()
        if Path(name).stem not in OF_KERAS_3 and (isinstance(value, str) or value > 2e-5)
    }
    assert not wrong, json.dumps(wrong, indent=1)
