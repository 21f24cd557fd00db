"""Write facts.json: what TensorFlow says of each expression. Run with a Python that has TensorFlow 2.15."""

import json
import pathlib

import expressions
import numpy as np
import tensorflow as tf


def fact(expression):
    """Return type, shape and numbers (rounded to 6 digits) of an expression."""
    value = eval(expression, expressions.inputs(tf))
    array = value.numpy() if hasattr(value, "numpy") else value
    array = np.asarray(array)
    flat = array.ravel()
    if array.dtype.kind == "c":
        flat = np.stack([flat.real, flat.imag], -1).ravel()
    if array.dtype.kind in "OSU":
        numbers = [text.decode() for text in np.atleast_1d(flat).tolist()]
    else:
        numbers = [v if isinstance(v, (bool, int)) else float(f"{v:.7g}") for v in flat.tolist()]
    kind = value.dtype.name if hasattr(value, "dtype") else str(array.dtype)
    return {"dtype": kind, "shape": list(array.shape), "values": numbers}


if __name__ == "__main__":
    facts = {}
    for expression in expressions.EXPRESSIONS:
        try:
            facts[expression] = fact(expression)
        except Exception as error:
            print(expression, type(error).__name__, str(error)[:150].replace(chr(10), " "))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items())
    pathlib.Path(__file__).with_name("facts.json").write_text("{\n" + lines + "\n}\n")
