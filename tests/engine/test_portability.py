"""The engine on other machines: its own check under emulators; and a machine where nothing was compiled."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("check_engine", ROOT / "tools" / "check_engine.py")
check_engine = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_engine)


@pytest.mark.parametrize("name", ["neon", "nehalem"])
def test_the_engine_computes_on_another_processor(name):
    """Builds are kept, so that only changed sources cost time; NEON, and an x86-64 without AVX."""
    if reason := check_engine.missing(name):
        pytest.skip(reason)
    said = check_engine.run(name)
    assert "1 instruction sets, " in said and " 0 failures" in said


ABSENT = """
import sys
sys.modules["convia.engine._native"] = sys.modules["convia.engine._pixels"] = None
import numpy as np
import convia as k
model = k.Sequential([k.Input((6, 6, 1)), k.layers.Conv2D(2, 3), k.layers.Flatten(), k.layers.Dense(3)])
model.compile("adam", "mse")
model.fit(np.ones((8, 6, 6, 1), "float32"), np.ones((8, 3), "float32"), verbose=0)
print(model.engine)
"""


def test_without_a_compiler_the_installation_says_so(tmp_path):
    """CMake ends well, with a warning, and builds nothing."""
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip("no CMake or Ninja")
    command = ["cmake", "-S", ROOT / "engine", "-B", tmp_path, "-G", "Ninja"]
    environment = {key: value for key, value in os.environ.items() if key != "CONVIA_ENGINE"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**environment, "CXX": str(tmp_path / "absent")}
    )
    said = " ".join(done.stderr.split())
    assert "convia: no C++ compiler, the native engine is not built; everything runs on torch" in said


def test_without_compiled_modules_torch_computes():
    environment = {key: value for key, value in os.environ.items() if key != "CONVIA_ENGINE"}
    command = [sys.executable, "-c", ABSENT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stdout.startswith("torch: the native engine was not built")
