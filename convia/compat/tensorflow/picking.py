"""Picking, placing, sorting elements: names that stand directly in ``tf``."""

import builtins
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from convia import ops
from convia.compat.tensorflow.door import alike, api, given, number, numbers, torch_dtype, tracing
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain


@api
def gather(params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0) -> Any:
    """Return the slices at the indices along an axis; the first ``batch_dims`` axes of both run together."""
    params, indices = given(params), given(indices)
    if isinstance(params, StringTensor):
        return StringTensor(np.take(params.array, indices.numpy(), number(axis or 0)))
    axis = batch_dims if axis is None else number(axis)
    if batch_dims:
        pairs = zip(params, indices, strict=True)
        return torch.stack([gather(p, i, axis=axis - 1, batch_dims=batch_dims - 1) for p, i in pairs])
    taken = params.index_select(axis, indices.reshape(-1).long())
    place = axis % params.ndim
    return taken.reshape((*params.shape[:place], *indices.shape, *params.shape[place + 1 :]))


@api
def gather_nd(params: Any, indices: Any, batch_dims: int = 0) -> Any:
    """Return the slices whose first indices stand along the last axis of ``indices``."""
    params, indices = given(params), given(indices)
    if batch_dims:
        return torch.stack([gather_nd(p, i, batch_dims - 1) for p, i in zip(params, indices, strict=True)])
    return params[tuple(indices.long().unbind(-1))] if indices.shape[-1] else params


@api
def scatter_nd(indices: Any, updates: Any, shape: Any) -> Any:
    """Return zeros of a shape with updates added at indices."""
    return ops.scatter(given(indices), given(updates), numbers(shape))


def _scattering(reduction: str | None, doc: str) -> Callable[..., Any]:
    def scattered(tensor: Any, indices: Any, updates: Any) -> Any:
        return ops.scatter_update(given(tensor), given(indices), given(updates), reduction)

    scattered.__doc__ = doc
    return api(scattered)


tensor_scatter_nd_update = _scattering(None, "Return a copy with updates at indices.")
tensor_scatter_nd_add = _scattering("add", "Return a copy with updates added at indices.")
tensor_scatter_nd_max = _scattering("max", "Return a copy with the greater of values and updates at indices.")
tensor_scatter_nd_min = _scattering("min", "Return a copy with the smaller of values and updates at indices.")


def _tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any) -> Any:
    return tensor_scatter_nd_add(tensor, indices, -given(updates))


tensor_scatter_nd_sub = api(_tensor_scatter_nd_sub)


@api
def boolean_mask(tensor: Any, mask: Any, axis: int | None = None) -> Any:
    """Return the slices where the mask is true, along the axes of the mask."""
    tensor, mask, axis = given(tensor), given(mask).bool(), axis or 0
    if isinstance(tensor, StringTensor):
        return tensor[mask]
    if tracing():  # how many there will be is not known: as many as there can be
        return tensor.new_empty((*tensor.shape[:axis], mask.numel(), *tensor.shape[axis + mask.ndim :]))
    return tensor[(builtins.slice(None),) * axis + (mask,)]


@api
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Return x where the condition holds, else y; with the condition alone the places (count, axes) of what is true.

    Raises:
        ValueError: only one of x and y.
    """
    condition = given(condition)
    if x is None and y is None:
        if tracing():  # as many as there can be
            return torch.empty((condition.numel(), condition.ndim), dtype=torch.int64)
        return torch.argwhere(condition)
    if x is None or y is None:
        raise ValueError(explain("tf.where", "only one of x and y", "both or neither"))
    x, y = _two(x, y)
    return torch.where(_of_rows(condition, x) if _picks_rows(condition, x) else condition.bool(), x, y)


@api
def where_of_rows(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Return ``tf.where`` of TensorFlow 1: a condition (N,) picks rows of x and y (N, …)."""
    condition = given(condition)
    if x is None or y is None or condition.ndim != 1:
        return where(condition, x, y)
    x, y = _two(x, y)
    return torch.where(_of_rows(condition, x), x, y)


def _picks_rows(condition: Tensor, x: Any) -> bool:
    """Whether only TensorFlow 1 can have been meant: as many truths as rows, which do not fit the last axis."""
    several = condition.ndim == 1 and len(condition) > 1 and isinstance(x, Tensor) and x.ndim > 1
    return several and len(condition) == len(x) and x.shape[-1] not in (1, len(condition))


def _of_rows(condition: Tensor, x: Any) -> Tensor:
    return condition.bool().reshape(-1, *(1,) * (x.ndim - 1))


def _two(x: Any, y: Any) -> tuple[Any, Any]:
    """torch takes numbers for one of the operands, or tensors for both."""
    x, y = alike(x, y)
    return (x, y) if isinstance(x, Tensor) or isinstance(y, Tensor) else (given(x), given(y))


@api
def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None, dtype: Any = None
) -> Any:
    """Return ``on_value`` at the index and ``off_value`` elsewhere, along a new axis; nothing for other indices."""
    indices, axis = given(indices), -1 if axis is None else number(axis)
    numbers_from_0 = torch.arange(number(depth), device=indices.device)
    hit = (indices.long()[..., None] == numbers_from_0).movedim(-1, axis)
    kind = torch_dtype(dtype) or next((given(v).dtype for v in (on_value, off_value) if v is not None), torch.float32)
    on, off = given(1 if on_value is None else on_value, kind), given(0 if off_value is None else off_value, kind)
    return torch.where(hit, on, off)


@api
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool") -> Any:
    """Return, for each length, so many true values followed by false ones."""
    lengths = given(lengths)
    count = int(lengths.max()) if maxlen is None else number(maxlen)
    return (torch.arange(count) < lengths[..., None]).to(torch_dtype(dtype))


@api
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING") -> Any:
    """Return the elements in order along an axis."""
    return torch.sort(given(values), axis, _descends("tf.sort", direction)).values


@api
def argsort(values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False) -> Any:
    """Return the places of the elements in order along an axis."""
    order = torch.sort(given(values), dim=axis, descending=_descends("tf.argsort", direction), stable=True)
    return order.indices.to(torch.int32)


def _descends(who: str, direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(explain(f"{who}, argument 'direction'", repr(direction), "'ASCENDING' or 'DESCENDING'"))
    return direction == "DESCENDING"


class Unique(NamedTuple):
    """The different elements in order of their first place, and for each element which one it is."""

    y: Any
    idx: Any


class UniqueWithCounts(NamedTuple):
    """As Unique, and how often each occurs."""

    y: Any
    idx: Any
    count: Any


@api
def unique_with_counts(x: Any, out_idx: Any = "int32") -> UniqueWithCounts:
    """Return the different elements of a vector, which one each element is, and how often each occurs."""
    x = given(x)
    array = x.array if isinstance(x, StringTensor) else x.detach().cpu().numpy()
    values, first, inverse, counts = np.unique(array, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    kind = torch_dtype(out_idx)
    return UniqueWithCounts(
        given(values[order]), torch.as_tensor(places[inverse]).to(kind), torch.as_tensor(counts[order]).to(kind)
    )


@api
def unique(x: Any, out_idx: Any = "int32") -> Unique:
    """Return the different elements of a vector, and which one each element is."""
    return Unique(*unique_with_counts(x, out_idx)[:2])


@api
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32") -> Any:
    """Return where values would be inserted to keep the order."""
    found = torch.searchsorted(given(sorted_sequence), *[given(values)], side=side)
    return found.to(torch_dtype(out_type))


@api
def dynamic_partition(data: Any, partitions: Any, num_partitions: int) -> Any:
    """Return the rows of each partition as a list."""
    data, partitions = given(data), given(partitions)
    return [data[partitions == part] for part in builtins.range(num_partitions)]
