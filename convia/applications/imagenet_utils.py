"""What all networks trained on ImageNet share: preparing pictures for them, and names for their 1000 classes."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from convia import config, ops
from convia.errors import explain
from convia.symbolic import KerasTensor

__all__ = ["decode_predictions", "preprocess_input"]


class _Mode(NamedTuple):
    """(x / scale − mean) / deviation, per channel in the order red, green, blue; or the reverse order."""

    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...] | None = None
    reverse: bool = False


_MODES = {
    "caffe": _Mode(1.0, (103.939, 116.779, 123.68), reverse=True),  # mean pixel of ImageNet: blue, green, red
    "tf": _Mode(127.5, (1.0,)),
    "torch": _Mode(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Prepare pictures, red green blue with values 0…255, as a network was trained with.

    Args:
        x: array or tensor (N, height, width, 3) or (height, width, 3), or with the channels before height; symbolic
            tensors too. It stays as it is; of floats the result has the same type, else the default type.
        data_format: "channels_last" or "channels_first"; None for the setting.
        mode: "caffe" subtracts ImageNet's mean from the channels in the order blue, green, red; "tf" scales to −1…1;
            "torch" scales to 0…1, subtracts the mean and divides by the standard deviation of each channel.

    Raises:
        ValueError: an unknown mode or data format; pictures without 3 channels in a mode that has numbers for each.
    """
    if mode not in _MODES:
        raise ValueError(explain("preprocess_input, argument 'mode'", repr(mode), f"one of {list(_MODES)}"))
    if data_format not in (None, "channels_first", "channels_last"):
        expected = "'channels_first', 'channels_last' or None"
        raise ValueError(explain("preprocess_input, argument 'data_format'", repr(data_format), expected))
    row = _MODES[mode]
    x = _floating(x)
    axis = len(x.shape) - (1 if (data_format or config.image_data_format()) == "channels_last" else 3)
    if len(row.mean) == 3 and (axis < 0 or x.shape[axis] not in (3, None)):
        remedy = "Grey images become three equal channels by numpy.repeat(x, 3, axis=-1)."
        raise ValueError(explain("preprocess_input", f"shape {tuple(x.shape)}", f"3 channels on axis {axis}", remedy))
    if row.reverse:
        x = np.flip(x, axis) if isinstance(x, np.ndarray) else ops.flip(x, axis)
    if row.scale != 1.0:
        x = x / row.scale
    x = x - _along(axis, row.mean, x)
    return x if row.deviation is None else x / _along(axis, row.deviation, x)


def _floating(x: Any) -> Any:
    """Arrays and tensors of integers, and lists, become those of the default type."""
    if isinstance(x, (torch.Tensor, KerasTensor)):
        return x if "float" in config.dtype_name(x.dtype) else ops.cast(x, config.floatx())
    x = np.asarray(x)
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(config.floatx())


def _along(axis: int, numbers: tuple[float, ...], like: Any) -> Any:
    """One number, or an array or tensor of a number per channel, that fits the type and the axes of another."""
    if len(numbers) == 1:
        return numbers[0]
    shape = (len(numbers),) + (1,) * (len(like.shape) - 1 - axis)
    if isinstance(like, np.ndarray):
        return np.array(numbers, like.dtype).reshape(shape)
    array = np.array(numbers).reshape(shape)
    dtype = config.torch_dtype(like.dtype)
    return torch.tensor(array, dtype=dtype, device=like.device if isinstance(like, torch.Tensor) else config.device())


def preprocessor(mode: str | None) -> Callable[..., Any]:
    """Return ``preprocess_input`` of a network: in a mode, or with None for networks that prepare pictures inside."""

    def preprocess_input_of_network(x: Any, data_format: str | None = None) -> Any:
        return x if mode is None else preprocess_input(x, data_format, mode)

    preprocess_input_of_network.mode = mode  # type: ignore[attr-defined]
    preprocess_input_of_network.__name__ = preprocess_input_of_network.__qualname__ = "preprocess_input"
    inside = "Return the pictures as they are: the network itself prepares values of 0…255."
    preprocess_input_of_network.__doc__ = (
        inside if mode is None else f"Prepare pictures in the mode {mode!r}; see imagenet_utils.preprocess_input."
    )
    return preprocess_input_of_network


@cache
def _classes() -> list[list[str]]:
    """[WordNet's number, name] of each class in the order of the networks' outputs."""
    classes: list[list[str]] = json.loads(Path(__file__).with_name("imagenet_classes.json").read_text(encoding="utf-8"))
    return classes


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """Name the likeliest classes: for each picture a list of (WordNet's number, name, probability), best first.

    Args:
        preds: array or tensor (N, 1000), as a network with all of ImageNet's classes predicts them.
        top: how many to name.

    Raises:
        ValueError: another shape.
    """
    shape = tuple(np.shape(preds))
    if len(shape) != 2 or shape[1] != 1000:
        remedy = "One picture's needs a batch axis: preds[None]. Classes of your own have names only you know."
        raise ValueError(explain("decode_predictions", f"shape {shape}", "(N, 1000)", remedy))
    array = preds.detach().cpu().numpy() if isinstance(preds, torch.Tensor) else np.asarray(preds)
    decoded = []
    for row in array:
        best = row.argsort()[-top:][::-1]
        decoded.append([(*_classes()[index], row[index]) for index in best])
    return decoded
