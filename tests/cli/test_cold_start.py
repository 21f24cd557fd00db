"""What `convia predict` does not wait for: torch's compiler, drawing, seldom formats of images, searches for garbage."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import convia as k

SLOW = ("matplotlib", "pandas", "sympy", "torch._dynamo", "PIL.WmfImagePlugin", "fastapi", "keras", "scipy")
PROGRAM = f"""
import gc, sys
import convia.cli
assert gc.isenabled()
sys.argv = ["convia", "predict", *sys.argv[1:]]
try:
    convia.cli.main()
finally:
    print([name for name in {SLOW} if name in sys.modules], gc.isenabled())
"""


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_predict_imports_nothing_slow(tmp_path, ending):
    x = inputs = k.Input((16, 16, 3))
    for activation in (k.layers.ReLU(), k.layers.LeakyReLU(), k.layers.Activation("relu")):
        x = k.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
        x = activation(k.layers.BatchNormalization()(x))
    x = k.layers.GlobalAveragePooling2D()(k.layers.MaxPooling2D()(x))
    k.Model(inputs, k.layers.Dense(3, activation="softmax")(x)).save(tmp_path / f"model{ending}")
    Image.fromarray(np.zeros((16, 16, 3), "uint8")).save(tmp_path / "x.png")
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / f"model{ending}"), str(tmp_path / "x.png")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] True"
