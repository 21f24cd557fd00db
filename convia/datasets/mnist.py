"""MNIST: handwritten digits, 28×28 (LeCun, Cortes and Burges; CC BY-SA 3.0)."""

import hashlib
import warnings
from pathlib import Path

import numpy as np

from convia.datasets._sources import MNIST, Arrays, Split, load
from convia.errors import explain

# MD5 of the IDX files of the original publication, by which the arrays are known however they are packed
_ORIGINAL = {
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}


def load_data(path: str = "mnist.npz") -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 60,000 and 10,000 digits as uint8 (N, 28, 28), labels (N,).

    Args:
        path: name of the file in ``~/.keras/datasets``.

    Raises:
        ConnectionError: not in the cache, and no source can be reached; the message says what to put where.
    """
    arrays = load(MNIST, _read, path)
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def _read(path: Path) -> dict[str, Arrays]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in _ORIGINAL}
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
            raise ValueError(f"images {x.shape} with labels {y.shape}")
    if any(_digest(arrays[name]) != md5 for name, md5 in _ORIGINAL.items()):
        text = explain(str(path), "other images than MNIST's", "the original data set", "Delete it to download MNIST.")
        warnings.warn(text, stacklevel=4)
    return arrays


def _digest(array: Arrays) -> str:
    header = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
    return hashlib.md5(header + array.tobytes(), usedforsecurity=False).hexdigest()
