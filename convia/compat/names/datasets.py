"""``keras.datasets.cifar``: the reader of one file of CIFAR."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np


class Plain(pickle.Unpickler):
    """Reads arrays and plain values, no code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] == "numpy" and name in ("ndarray", "dtype", "_reconstruct", "scalar"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a file of data: received {module}.{name}. Expected arrays and numbers.")


def load_batch(fpath: Any, label_key: str = "labels") -> tuple[np.ndarray, list[int]]:
    """Read a file of CIFAR in Python's format: images (N, 3, 32, 32) and labels."""
    with Path(fpath).open("rb") as file:
        entries = {str(key, "utf8"): value for key, value in Plain(file, encoding="bytes").load().items()}
    return np.reshape(entries["data"], (-1, 3, 32, 32)), entries[label_key]


__all__ = ["Plain", "load_batch"]
