"""Load models in tf.keras and compare predictions: ``<python with tensorflow> load_in_tensorflow.py folder``.

The folder holds ``case.h5`` (or ``.keras``) and ``case.npz`` with inputs ``x0``… and outputs ``y0``…; prints JSON: file →
largest difference, or the error.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


def flat(structure: Any) -> list[Any]:
    """Return the leaves."""
    if isinstance(structure, dict):
        return [item for key in sorted(structure) for item in flat(structure[key])]
    return [item for part in structure for item in flat(part)] if isinstance(structure, (list, tuple)) else [structure]


def difference(path: Path) -> Any:
    """Return the largest difference of a model's predictions to those expected, or the error as text."""
    with np.load(path.with_suffix(".npz")) as file:
        arrays = dict(file)
    try:
        model = tf.keras.models.load_model(path)
        given = [arrays[f"x{place}"] for place in range(sum(key[0] == "x" for key in arrays))]
        if isinstance(model.input, dict):
            given = dict(zip(sorted(model.input), given, strict=True))
        results = flat(model.predict(given if isinstance(model.input, (dict, list)) else given[0], verbose=0))
        return max(float(np.abs(value - arrays[f"y{place}"]).max()) for place, value in enumerate(results))
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


if __name__ == "__main__":
    paths = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in (".h5", ".keras"))
    print(json.dumps({path.name: difference(path) for path in paths}))
