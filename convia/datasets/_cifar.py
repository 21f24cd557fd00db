"""Reading CIFAR's files, which are Python pickles, without running what a pickle may contain."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from convia import config
from convia.datasets._sources import Arrays


class _Type:
    """Stands for numpy.dtype: remembers its name, ignores its state."""

    def __init__(self, name: Any = b"", *rest: Any) -> None:
        self.name = name if isinstance(name, bytes) else str(name).encode()

    def __setstate__(self, state: Any) -> None:
        pass


class _Array:
    """Stands for an array in the making; its state is (version, shape, type, whether in Fortran's order, bytes)."""

    def __init__(self, *ignored: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def to_numpy(self) -> Arrays:
        _, shape, kind, is_fortran, content = self.state
        if not isinstance(kind, _Type) or kind.name != b"u1":
            raise pickle.UnpicklingError("an array of another type than bytes")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if is_fortran else "C")


_STANDS_FOR: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Reader(pickle.Unpickler):
    """Makes dicts, lists, bytes, numbers and the two records above, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STANDS_FOR:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file contains")
        return _STANDS_FOR[module, name]


def read_batch(path: Path, label: str = "labels") -> tuple[Arrays, list[int]]:
    """Return a file's images, uint8 (N, 3, 32, 32), and its labels.

    Raises:
        pickle.UnpicklingError: the file contains anything but arrays, dicts, lists, bytes and numbers.
        KeyError, ValueError: it is not a batch of CIFAR.
    """
    with path.open("rb") as file:
        content = _Reader(file, encoding="bytes").load()
    if not isinstance(content, dict) or not isinstance(content.get(b"data"), _Array):
        raise ValueError(f"{path.name} is not a batch of CIFAR")
    return content[b"data"].to_numpy().reshape(-1, 3, 32, 32), content[label.encode()]


def in_order(images: Arrays) -> Arrays:
    """Put the channels of images (N, C, H, W) where the library's data format wants them."""
    is_last = config.image_data_format() == "channels_last"
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1) if is_last else images)
