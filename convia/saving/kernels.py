"""Kernels of convolutions in old files, in today's order of axes.

Keras 1 kept kernels as Theano has them, (filters, channels, rows, columns), where images are channels_first, and those
of one dimension with an axis of length 1. On Theano, which turns kernels around, all were stored turned around.
"""

from typing import Any

import numpy as np

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose")
_SEPARABLE = ("SeparableConv2D", "SeparableConv1D")


def todays(layer: Any, arrays: list[np.ndarray], era: int, backend: str | None) -> list[np.ndarray]:
    """Return the weights of a layer, or of a model of several, with kernels as Keras 2 and 3 have them.

    Args:
        era: the first number of the version of Keras that wrote them.
        backend: what it ran on, None if that is not known.
    """
    if era > 1 and backend != "theano":
        return arrays
    found = [place for place, array in enumerate(arrays) if array.ndim > 3 or (era > 1 and array.ndim > 2)]
    arrays = list(arrays)
    for place, owner in zip(found, _owners(layer), strict=False):
        kernel = _of_keras_1(owner, arrays[place]) if era == 1 else arrays[place]
        is_plain = type(owner).__name__ in _CONVOLUTIONS
        arrays[place] = _turned(kernel) if backend == "theano" and is_plain else kernel
    return arrays


def _owners(layer: Any) -> list[Any]:
    """The layers with kernels, in order; separable ones, which have two, twice."""
    layers = [layer] if hasattr(layer, "_flatten_layers") else layer.layers
    inner = list(dict.fromkeys(item for one in layers for item in one._flatten_layers()))
    counts = {**dict.fromkeys(_CONVOLUTIONS, 1), **dict.fromkeys(_SEPARABLE, 2)}
    return [item for item in inner for _ in range(counts.get(type(item).__name__, 0))]


def _turned(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.flip(kernel, tuple(range(kernel.ndim - 2))))


def _of_keras_1(layer: Any, kernel: np.ndarray) -> np.ndarray:
    name = type(layer).__name__
    if name == "Conv1D" and kernel.ndim == 4:  # (length, 1, in, out), before 1.1 (out, in, length, 1)
        if kernel.shape[:2] != (layer.kernel_size[0], 1):
            kernel = kernel.transpose(2, 3, 1, 0)
        return kernel[:, 0]
    is_transposed = name.endswith("Transpose")
    if getattr(layer, "data_format", None) == "channels_first":
        last = (0, 1) if is_transposed else (1, 0)
        return kernel.transpose(*range(2, kernel.ndim), *last)
    return np.swapaxes(kernel, -1, -2) if is_transposed else kernel


__all__ = ["todays"]
