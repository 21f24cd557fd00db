"""Tensors of texts: arrays of bytes with the interface of a tensor, for paths and labels in data pipelines."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from convia.compat.tensorflow.dtypes import DType, string
from convia.compat.tensorflow.shapes import TensorShape
from convia.errors import explain

_encode = np.vectorize(lambda text: text if isinstance(text, bytes) else str(text).encode(), otypes=[object])


class StringTensor:
    """Texts as bytes, in any shape.

    Args:
        values: a text, bytes, a path, or nested lists and arrays of them.
    """

    dtype: DType = string
    __array_priority__ = 1000

    def __init__(self, values: Any) -> None:
        if isinstance(values, (StringTensor, os.PathLike)):
            values = values.array if isinstance(values, StringTensor) else os.fspath(values)
        array = np.array(_plain(values), dtype=object)
        self.array: np.ndarray = _encode(array) if array.size else array

    @property
    def shape(self) -> TensorShape:
        """The sizes along the axes."""
        return TensorShape(self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    def get_shape(self) -> TensorShape:
        """Return the shape."""
        return self.shape

    def set_shape(self, shape: Any) -> None:
        """Raise ValueError unless the shape fits."""
        self.shape.assert_is_compatible_with(shape)

    def numpy(self) -> Any:
        """Return the bytes of a single text, else an array of bytes."""
        return self.array.item() if self.array.ndim == 0 else self.array.copy()

    def ref(self) -> int:
        """Return what stands for this tensor in sets and dicts."""
        return id(self)

    def map(self, function: Callable[[bytes], Any], otypes: Any = object) -> np.ndarray:
        """Return a function of each text, as an array."""
        return np.asarray(np.vectorize(function, otypes=[otypes])(self.array))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator["StringTensor"]:
        return (StringTensor(row) for row in self.array)

    def __getitem__(self, key: Any) -> "StringTensor":
        return StringTensor(self.array[_index(key)])

    def __eq__(self, other: object) -> Any:
        return self._compared(other, np.equal)

    def __ne__(self, other: object) -> Any:
        return self._compared(other, np.not_equal)

    def _compared(self, other: Any, function: Any) -> Any:
        if other is None:
            return function is np.not_equal
        return torch.as_tensor(np.asarray(function(self.array, StringTensor(other).array), dtype=bool))

    def __hash__(self) -> int:
        return id(self)

    def __add__(self, other: Any) -> "StringTensor":
        return StringTensor(self.array + StringTensor(other).array)

    def __radd__(self, other: Any) -> "StringTensor":
        return StringTensor(StringTensor(other).array + self.array)

    def __bytes__(self) -> bytes:
        return self._only()

    def __fspath__(self) -> str:
        return self._only().decode()

    def _only(self) -> bytes:
        if self.array.size != 1:
            raise TypeError(explain("tf.string tensor", f"shape {self.shape}", "a single text"))
        text: bytes = self.array.item()
        return text

    def __repr__(self) -> str:
        return f"<tf.Tensor: shape={self.shape}, dtype=string, numpy={self.numpy()!r}>"


def _plain(values: Any) -> Any:
    if isinstance(values, (list, tuple)):
        return [_plain(value) for value in values]
    if isinstance(values, StringTensor):
        return values.numpy()
    return os.fspath(values) if isinstance(values, os.PathLike) else values


def _index(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_index(part) for part in key)
    return key.detach().cpu().numpy() if isinstance(key, torch.Tensor) else key


def is_text(value: Any) -> bool:
    """Whether a value is a text or a (nested, not empty) list or array of texts."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "SU" or (value.dtype.kind == "O" and value.size > 0 and is_text(value.flat[0]))
    return isinstance(value, (str, bytes, StringTensor, os.PathLike))
