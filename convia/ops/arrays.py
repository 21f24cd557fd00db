"""Changing the shape of tensors: join, split, turn, pad, repeat, pick."""

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia.errors import explain
from convia.ops.door import axes_of, mark, public, publish, result_dtype, tensor
from convia.symbolic import KerasTensor, tracing


def _joined(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(xs: Any) -> Any:
        return function([tensor(x) for x in xs])

    _row.__doc__ = doc
    return public(0)(_row)


dstack = _joined(torch.dstack, "Join along the third axis.")
hstack = _joined(torch.hstack, "Join along the second axis, vectors along their only one.")
vstack = _joined(torch.vstack, "Join along the first axis, vectors as rows.")


@public(0)
def concatenate(xs: Any, axis: int = 0) -> Any:
    """Join along an axis that is there."""
    return torch.cat([tensor(x) for x in xs], 0 if axis is None else axis)


@public(0)
def stack(x: Any, axis: int = 0) -> Any:
    """Join along a new axis."""
    return torch.stack([tensor(item) for item in x], axis)


@public(2)
def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """x2 after x1 along an axis; ``None`` flattens both."""
    return torch.cat((x1.flatten(), x2.flatten())) if axis is None else torch.cat((x1, x2), axis)


def _sections(value: Any) -> Any:
    return value if isinstance(value, int) else [int(index) for index in value]


@public(1)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Cut into that many equal parts, or before each of the given positions.

    Raises:
        ValueError: the parts would not be equal.
    """
    sections = _sections(indices_or_sections)
    if isinstance(sections, int) and x.shape[axis] % sections:
        remedy = "Use array_split for unequal parts."
        raise ValueError(explain("split", f"size {x.shape[axis]} in {sections} parts", "equal parts", remedy))
    return list(torch.tensor_split(x, sections, axis))


@public(1)
def array_split(x: Any, indices_or_sections: int, axis: int = 0) -> Any:
    """Cut into that many parts, the first ones longer by one where it does not divide.

    Raises:
        ValueError: not a whole number of at least 1.
    """
    if not isinstance(indices_or_sections, int) or indices_or_sections < 1:
        raise ValueError(explain("array_split", f"{indices_or_sections!r} parts", "a whole number ≥ 1"))
    return list(torch.tensor_split(x, indices_or_sections, axis))


def _cut(function: Callable[..., Any], doc: str) -> Any:
    def _row(x: Any, indices_or_sections: Any) -> Any:
        return list(function(x, _sections(indices_or_sections)))

    _row.__doc__ = doc
    return public(1)(_row)


dsplit = _cut(torch.dsplit, "Cut along the third axis.")
hsplit = _cut(torch.hsplit, "Cut along the second axis, vectors along their only one.")
vsplit = _cut(torch.vsplit, "Cut along the first axis.")


@public(1)
def reshape(x: Any, newshape: Any) -> Any:
    """The elements in another shape; one size may be −1 (or None) to be computed."""
    return x.reshape([-1 if n is None else int(n) for n in ([newshape] if isinstance(newshape, int) else newshape)])


@public(1)
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, by default reversed."""
    return x.permute(tuple(reversed(range(x.ndim))) if axes is None else tuple(axes))


@public(1)
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest in their order."""
    return torch.movedim(x, source, destination)


@public(1)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    return x.transpose(axis1, axis2)


@public(1)
def expand_dims(x: Any, axis: Any) -> Any:
    """New axes of size 1, at their places in the result."""
    count = 1 if isinstance(axis, int) else len(axis)
    for dim in sorted(axes_of(axis, x.ndim + count)):
        x = x.unsqueeze(dim)
    return x


@public(1)
def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of size 1 left out: those given, or all."""
    if axis is None:
        return x.squeeze()
    axes = axes_of(axis, x.ndim)
    if builtins.any(x.shape[dim] != 1 for dim in axes):
        raise ValueError(explain("squeeze", f"axis {axis} of shape {tuple(x.shape)}", "an axis of size 1"))
    return x.squeeze(axes)


@public(1)
def ravel(x: Any) -> Any:
    """The elements as a vector."""
    return x.ravel()


@public(1)
def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated along its axes of size 1, without a copy."""
    return torch.broadcast_to(x, tuple(shape))


@public(1)
def flip(x: Any, axis: Any = None) -> Any:
    """The order reversed along axes, by default all."""
    return torch.flip(x, axes_of(axis, x.ndim))


@public(1)
def fliplr(x: Any) -> Any:
    """The columns in reversed order."""
    return torch.fliplr(x)


@public(1)
def flipud(x: Any) -> Any:
    """The rows in reversed order."""
    return torch.flipud(x)


@public(1)
def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """k quarter turns from the first axis towards the second.

    Raises:
        ValueError: fewer than two dimensions, or not two different axes.
    """
    if array.ndim < 2 or len(axes) != 2 or len(set(axes_of(axes, array.ndim))) != 2:
        received = f"shape {tuple(array.shape)}, axes={axes}"
        raise ValueError(explain("rot90", received, "at least two dimensions and two different axes"))
    return torch.rot90(array, k, axes_of(axes, array.ndim))


@public(1)
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """The elements shifted along axes, what leaves at the end coming in at the start; ``None`` flattens for it."""
    return torch.roll(x, shift, axis)


@public(1)
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated in place, all alike or each its own number of times; ``axis=None`` flattens."""
    x, axis = (x.flatten(), 0) if axis is None else (x, axis % x.ndim)
    if isinstance(repeats, Tensor):
        return torch.repeat_interleave(x, repeats.to(x.device), axis)
    source: Any = np.repeat(np.arange(x.shape[axis]), repeats)
    return x.index_select(axis, torch.as_tensor(source, device=x.device))


@public(1)
def tile(x: Any, repeats: Any) -> Any:
    """x repeated as a whole along its last axes."""
    return torch.tile(x, (repeats,) if isinstance(repeats, int) else tuple(int(count) for count in repeats))


@public(1)
def pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = None) -> Any:
    """x with elements added before and after each axis: ``((before, after), …)``, one pair, or one number for all.

    Modes other than "constant" are those of ``numpy.pad`` that depend on positions alone: "reflect", "symmetric",
    "edge", "wrap".

    Raises:
        ValueError: constant values with another mode.
    """
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if mode == "constant":
        flat = [size for pair in reversed(widths) for size in pair]
        return torch.nn.functional.pad(x, flat, value=0 if constant_values is None else constant_values)
    if constant_values is not None:
        raise ValueError(explain("pad", f"constant_values with mode={mode!r}", "mode='constant'"))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            source = np.pad(np.arange(x.shape[axis]), (before, after), mode=mode)
            x = x.index_select(axis, torch.as_tensor(source, device=x.device))
    return x


@public(1)
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements, or along an axis the slices, at the given positions; negative ones count from the end."""
    indices = tensor(indices).long()
    x, axis = (x.flatten(), 0) if axis is None else (x, axis % x.ndim)
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, indices.flatten())
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@public(1)
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """For each position of ``indices`` the element at that index along the axis; ``None`` flattens x."""
    indices = tensor(indices).long()
    size = x.numel() if axis is None else x.shape[axis]
    return torch.take_along_dim(x, torch.where(indices < 0, indices + size, indices), axis)


@public(0)
def get_item(x: Any, key: Any) -> Any:
    """x[key]."""
    return tensor(x)[key]


@public(1)
def nonzero(x: Any) -> Any:
    """The indices of what is not 0, (ndim, count), an int32."""
    if tracing():  # the count depends on the numbers; the size of x stands for it
        return x.new_empty(x.ndim, x.numel(), dtype=torch.int32)
    return torch.nonzero(x).T.to(torch.int32)


@public(1)
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is among those of x2."""
    x2 = tensor(x2)
    kind = torch.promote_types(torch.promote_types(x1.dtype, x2.dtype), torch.uint8)
    return torch.isin(x1.to(kind), x2.to(kind), assume_unique=assume_unique, invert=invert)


@public(1)
def unravel_index(indices: Any, shape: Any) -> Any:
    """Positions in the flattened tensor as positions along each axis of a shape."""
    return tuple(index.to(result_dtype(indices.dtype)) for index in torch.unravel_index(indices, tuple(shape)))


@public(1)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803
    """The powers x^(N−1), …, x, 1 of a vector as columns.

    Raises:
        ValueError: x is not a vector, or N is negative.
    """
    if x.ndim != 1 or (N is not None and (not isinstance(N, int) or N < 0)):
        raise ValueError(explain("vander", f"shape {tuple(x.shape)}, N={N!r}", "a vector and N ≥ 0"))
    return torch.vander(x, N, increasing).to(result_dtype(x.dtype))


@mark
def ndim(x: Any) -> int:
    """The number of dimensions."""
    return len(x.shape) if hasattr(x, "shape") else tensor(x).ndim


@mark
def size(x: Any) -> Any:
    """The number of elements, None where the shape is not known."""
    if isinstance(x, KerasTensor):
        return None if None in x.shape else math.prod(x.shape)
    return tensor(math.prod(x.shape if hasattr(x, "shape") else tensor(x).shape))


@public(1)
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements, or slices along an axis; then, as asked for, where each first occurs, which one each
    element is, and how often each occurs. ``size`` cuts them off or fills up with ``fill_value``.
    """
    values, inverse, counts = torch.unique(x, sorted=sorted, return_inverse=True, return_counts=True, dim=axis)
    dim = 0 if axis is None else axis % x.ndim
    places = torch.arange(inverse.numel(), device=x.device)
    first = places.new_empty(len(counts)).scatter_reduce_(0, inverse.flatten(), places, "amin", include_self=False)
    if size is not None:
        values, first, counts = (
            _sized(item, along, size, fill)
            for item, along, fill in ((values, dim, fill_value or 0), (first, 0, 1), (counts, 0, 0))
        )
    wanted = ((first, return_index), (inverse, return_inverse), (counts, return_counts))
    results = (values, *(item for item, given in wanted if given))
    return results if len(results) > 1 else values


def _sized(x: Tensor, axis: int, size: int, fill: Any) -> Tensor:
    x = x.narrow(axis, 0, builtins.min(size, x.shape[axis]))
    widths = [0, 0] * (x.ndim - 1 - axis) + [0, size - x.shape[axis]]
    return torch.nn.functional.pad(x, widths, value=fill)


publish(globals())
