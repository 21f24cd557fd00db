"""Kernels of old files in today's order of axes: those of convolutions and of recurrent layers.

Keras 1 kept kernels as Theano has them, (filters, channels, rows, columns), where images are channels_first, and those
of one dimension with an axis of length 1. On Theano, which turns kernels around, all were stored turned around.

CuDNNLSTM and CuDNNGRU of Keras 2 kept the kernels of each gate as cuDNN has them, (units, in), though their shapes say
(in, units), and two biases.
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
    arrays = _of_cudnn(arrays)
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


# -- recurrent layers -------------------------------------------------------------------------------------------------


def _of_cudnn(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Find kernels (in, gates·u) and (u, gates·u) with biases (2·gates·u,), which only cuDNN's layers have."""
    arrays = list(arrays)
    for place in range(len(arrays) - 2):
        kernel, recurrent, bias = arrays[place : place + 3]
        if kernel.ndim != 2 or recurrent.ndim != 2 or bias.ndim != 1 or not recurrent.shape[0]:
            continue
        units, columns = recurrent.shape
        gates = columns // units
        if (columns, kernel.shape[1], len(bias)) == (gates * units, gates * units, 2 * columns) and gates in (3, 4):
            in_order = [part.reshape(units, -1).T for part in np.split(kernel, gates, 1)]
            turned = [part.T for part in np.split(recurrent, gates, 1)]
            both = bias.reshape(2, columns)
            biases = both.sum(0) if gates == 4 else both  # an LSTM adds them; a GRU multiplies between
            arrays[place : place + 3] = np.hstack(in_order), np.hstack(turned), biases
    return arrays


__all__ = ["todays"]
