"""Hundreds of expressions give what TensorFlow 2.15 gave; see golden/record.py."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import convia.compat.tensorflow as tf

GOLDEN = Path(__file__).parent / "golden"
FACTS = json.loads((GOLDEN / "facts.json").read_text())
TABLE = runpy.run_path(str(GOLDEN / "expressions.py"))
TOLERANCE = {
    "tf.image.resize(im, (5, 9), tf.image.ResizeMethod.BICUBIC)": 5e-4,  # TensorFlow looks its weights up in a table of 1024
    "tf.image": 3e-5,
    "tf.linalg": 1e-4,
    "tf.signal": 1e-4,
}


def numbers(array):
    flat = array.ravel()
    if array.dtype.kind == "c":
        flat = np.stack([flat.real, flat.imag], -1).ravel()
    return [text.decode() for text in flat.tolist()] if array.dtype.kind == "O" else flat


def test_every_expression_was_recorded():
    assert set(FACTS) == set(TABLE["EXPRESSIONS"])


@pytest.mark.parametrize("expression", FACTS)
def test_as_tensorflow(expression):
    fact = FACTS[expression]
    value = eval(expression, TABLE["inputs"](tf))  # our own table
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    array = array.astype(object) if array.dtype.kind == "S" else array
    assert list(array.shape) == fact["shape"]
    if fact["dtype"] == "string":
        assert numbers(array) == fact["values"]
        return
    assert tf.as_dtype(value.dtype if hasattr(value, "dtype") else array.dtype).name == fact["dtype"]
    tolerance = next((t for start, t in TOLERANCE.items() if expression.startswith(start)), 1e-5)
    np.testing.assert_allclose(numbers(array), fact["values"], tolerance, tolerance)
