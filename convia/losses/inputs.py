"""The door of losses and metrics: any array becomes a tensor, and labels and predictions get one type and rank."""

import warnings
from typing import Any

import numpy as np
import torch

from convia import config, tree
from convia.errors import explain

__all__ = ["check_labels"]


def to_tensor(value: Any, dtype: torch.dtype | None = None, like: torch.Tensor | None = None) -> Any:
    """Return a tensor of an array, list or number; of a container of arrays, the same container of tensors.

    Args:
        value: a tensor (returned as it is if it fits), array, nested list, container of arrays, or None.
        dtype: the wanted type; without it arrays keep theirs and lists of floats take the default float type.
        like: a tensor on the wanted device.
    """
    if isinstance(value, torch.Tensor):
        if like is not None and value.device != like.device:
            value = value.to(like.device)
        return value if dtype is None or value.dtype is dtype else value.to(dtype)
    if value is None:
        return None
    if _holds_arrays(value):
        return tree.map_structure(lambda leaf: to_tensor(leaf, dtype, like), value)
    array = np.asarray(value)
    if dtype is None and array.dtype == np.float64 and not hasattr(value, "dtype"):
        dtype = config.torch_dtype(config.floatx())
    return torch.as_tensor(array, dtype=dtype, device=like.device if like is not None else config.device())


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return isinstance(value, (list, tuple)) and any(getattr(leaf, "ndim", 0) for leaf in tree.flatten(value))


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor, array or nested list as a plain tuple."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


def both_shapes(y_true: Any, y_pred: Any) -> str:
    """Return the words for what was received, in messages."""
    return f"y_true of shape {shape_of(y_true)} and y_pred of shape {shape_of(y_pred)}"


def match_ranks(
    first: torch.Tensor, second: torch.Tensor, expand_vectors: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make ranks equal where they differ by a last axis of length 1, so that (N,) meets (N, 1) element by element.

    A vector is expanded to (N, 1) unless ``expand_vectors`` is false; otherwise the longer one is squeezed.
    """
    if first.ndim == second.ndim + 1 and first.shape[-1] == 1:
        if second.ndim == 1 and expand_vectors:
            return first, second.unsqueeze(-1)
        return first.squeeze(-1), second
    if second.ndim == first.ndim + 1 and second.shape[-1] == 1:
        if first.ndim == 1 and expand_vectors:
            return first.unsqueeze(-1), second
        return first, second.squeeze(-1)
    return first, second


def pair(who: str, y_true: Any, y_pred: Any, *, same_shape: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels and predictions as floats of one type, device and rank.

    Raises:
        ValueError: the shapes do not fit, or with ``same_shape`` are not equal.
    """
    if not isinstance(y_pred, torch.Tensor):
        y_pred = to_tensor(y_pred)
    if not y_pred.is_floating_point():
        y_pred = y_pred.to(config.torch_dtype(config.floatx()))
    y_true = to_tensor(y_true, y_pred.dtype, y_pred)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = match_ranks(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            _complain(who, y_true, y_pred, same_shape)
    return y_true, y_pred


def _complain(who: str, y_true: torch.Tensor, y_pred: torch.Tensor, same_shape: bool) -> None:
    text = explain(who, both_shapes(y_true, y_pred), "two equal shapes", _shape_remedy(y_true, y_pred))
    try:
        torch.broadcast_shapes(y_true.shape, y_pred.shape)
    except RuntimeError:
        raise ValueError(text) from None
    if same_shape:
        raise ValueError(text)
    warnings.warn(f"{text} They are broadcast.", stacklevel=4)


def _shape_remedy(y_true: torch.Tensor, y_pred: torch.Tensor) -> str:
    classes = y_pred.shape[-1] if y_pred.ndim else 1
    one_label = tuple(y_true.shape) in (tuple(y_pred.shape[:-1]), (*y_pred.shape[:-1], 1))
    if one_label and classes > 1:
        return (
            f"If y_true holds one class number per example, use sparse_categorical_crossentropy, or turn it into "
            f"one-hot rows with to_categorical(y_true, {classes})."
        )
    if y_true.ndim and y_true.shape[:-1] == y_pred.shape[:-1] and classes == 1:
        return f"Give the last layer {y_true.shape[-1]} units, or one label per example."
    if y_true.ndim and y_true.shape[:-1] == y_pred.shape[:-1]:
        return f"The last layer has {classes} units, and the labels have {y_true.shape[-1]} columns: make them equal."
    return "Reshape the labels, or change the model's output, until they agree."


def check_labels(
    y_true: Any,
    y_pred: Any,
    ignore_class: int | None = None,
    axis: int = -1,
    who: str = "sparse_categorical_crossentropy",
) -> None:
    """Check class numbers against the number of classes. It reads all labels, so call it once, not in each step.

    Args:
        y_true: whole numbers, of the shape of ``y_pred`` without its class axis (or 1 there).
        y_pred: scores or probabilities of the classes.
        ignore_class: a class number that is allowed though it is out of range.
        axis: the class axis of ``y_pred``.

    Raises:
        ValueError: another shape, numbers that are not whole, or labels outside 0 … classes − 1.
    """
    labels, scores = to_tensor(y_true), to_tensor(y_pred)
    labels = squeeze_labels(labels, scores, axis, who)
    if ignore_class is not None:
        labels = labels[labels != ignore_class]
    if labels.numel() == 0:
        return
    _check_whole(labels, who)
    low, high = (int(bound) for bound in torch.aminmax(labels))
    classes = scores.shape[axis]
    if low >= 0 and high < classes:
        return
    received = f"the label {low if low < 0 else high} in y_true"
    expected = f"labels from 0 to {classes - 1}, because y_pred of shape {tuple(scores.shape)} has {classes} classes"
    raise ValueError(explain(who, received, expected, _label_remedy(low, high, classes)))


def _check_whole(labels: torch.Tensor, who: str) -> None:
    broken = labels[labels != labels.round()] if labels.is_floating_point() else labels[:0]
    if broken.numel():
        remedy = "Use categorical_crossentropy for rows of probabilities."
        raise ValueError(explain(who, f"the label {broken[0].item():g} in y_true", "whole class numbers", remedy))


def _label_remedy(low: int, high: int, classes: int) -> str:
    if classes == 1:
        return "For two classes and one output use binary_crossentropy with a sigmoid."
    if low < 0:
        return f"If {low} marks examples to leave out, pass ignore_class={low}."
    if low == 1 and high == classes:
        return "Labels start at 0: subtract 1 from them."
    return f"Give the last layer {high + 1} units, or correct the labels."


def squeeze_labels(y_true: torch.Tensor, y_pred: torch.Tensor, axis: int, who: str) -> torch.Tensor:
    """Return class numbers of the shape of ``y_pred`` without its class axis.

    Raises:
        ValueError: the shapes do not fit; names both and, for one-hot rows, the loss that takes them.
    """
    axis = axis % y_pred.ndim if y_pred.ndim else 0
    wanted = y_pred.shape[:axis] + y_pred.shape[axis + 1 :]
    if y_true.shape == wanted:
        return y_true
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    elif y_true.ndim == y_pred.ndim - 2 and wanted[-1] == 1:
        y_true = y_true.unsqueeze(-1)
    if y_true.shape == wanted:
        return y_true
    if y_true.shape == y_pred.shape:
        dense = who.removeprefix("sparse_") if who.startswith("sparse_") else "categorical_crossentropy"
        remedy = f"These look like one-hot rows: use {dense}, or y_true.argmax(-1)."
    else:
        remedy = "Give one class number per prediction, and check where Flatten or pooling is missing in the model."
    expected = f"class numbers of shape {tuple(wanted)}"
    raise ValueError(explain(who, both_shapes(y_true, y_pred), expected, remedy))
