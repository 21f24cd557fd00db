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
    """Return the largest difference of a model's predictions to those expected, or the error as text.

    An ``.h5`` file is loaded with its optimizer, then without: weights are read again from it and from
    ``case.weights.h5`` if there is one. (A compiled model of tf.keras wants the state of its metrics in that file.)
    """
    with np.load(path.with_suffix(".npz")) as file:
        arrays = dict(file)
    try:
        model = tf.keras.models.load_model(path)
        found = [predicted(model, arrays)]
        model = tf.keras.models.load_model(path, compile=False)
        for weights in (path, path.with_suffix(".weights.h5")):
            if weights.exists() and path.suffix == ".h5":
                model.set_weights([value * 0 for value in model.get_weights()])
                model.load_weights(weights)
                found.append(predicted(model, arrays))
        return max(found)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


def predicted(model: Any, arrays: Any) -> float:
    """Return the largest difference, relative to the outputs where they are over 1."""
    given = [arrays[f"x{place}"] for place in range(sum(key[0] == "x" for key in arrays))]
    if isinstance(model.input, dict):
        given = dict(zip(sorted(model.input), given, strict=True))
    results = flat(model.predict(given if isinstance(model.input, (dict, list)) else given[0], verbose=0))
    expected = [arrays[f"y{place}"] for place in range(len(results))]
    return max(float((np.abs(a - b) / np.maximum(np.abs(b), 1)).max()) for a, b in zip(results, expected, strict=True))


if __name__ == "__main__":
    paths = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in (".h5", ".keras"))
    paths = [path for path in paths if ".weights" not in path.name]
    print(json.dumps({path.name: difference(path) for path in paths}))
