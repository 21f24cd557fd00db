"""Elements of datasets: nested tuples and dicts of tensors; stacking them to batches, cutting and describing them."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import tree
from convia.compat.tensorflow.door import given
from convia.compat.tensorflow.dtypes import as_dtype
from convia.compat.tensorflow.shapes import TensorShape, TensorSpec
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.pipeline import files, made_of


def walk(function: Any, structure: Any, *others: Any) -> Any:
    """Apply a function to the leaves of nested tuples and dicts; lists are leaves, as tf.data has it."""
    if isinstance(structure, dict):
        return {key: walk(function, structure[key], *(other[key] for other in others)) for key in structure}
    if isinstance(structure, tuple) and not isinstance(structure, TensorShape | torch.Size):
        parts = [walk(function, *items) for items in zip(structure, *others, strict=True)]
        return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)
    return function(structure, *others)


def leaves(structure: Any) -> list[Any]:
    """Return the leaves of nested tuples and dicts."""
    found: list[Any] = []
    walk(found.append, structure)
    return found


def as_element(value: Any) -> Any:
    """Make tensors of what a program returns for an element; datasets and None stay."""
    return walk(lambda leaf: leaf if leaf is None or hasattr(leaf, "as_numpy_iterator") else given(leaf), value)


def stacked(elements: Sequence[Any]) -> Any:
    """Return elements as one with a new first axis, on which is noted what they were made of.

    Raises:
        ValueError: tensors of different shapes.
    """
    return made_of(walk(lambda *parts: _stack(parts), *elements), names_of(elements))


def names_of(elements: Sequence[Any]) -> list[str]:
    """Return what elements were made of, as far as it was noted."""
    return [name for element in elements for name in files(element)]


def _stack(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], StringTensor):
        return StringTensor(np.stack([part.array for part in parts]))
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        remedy = "Use padded_batch, or bring them to one shape in map."
        raise ValueError(explain("Dataset.batch", f"elements of shapes {sorted(shapes)}", "one shape", remedy))
    return torch.stack(list(parts))


def padded(elements: Sequence[Any], shapes: Any, values: Any) -> Any:
    """Return elements as one with a new first axis, filled up to the greatest sizes, or to given ones."""
    first = elements[0]
    shapes = walk(lambda leaf: None, first) if shapes is None else _spread(shapes, first)
    values = walk(lambda leaf: None, first) if values is None else _spread(values, first)

    def joined(*given_parts: Any) -> Any:
        *parts, shape, value = given_parts
        return _padded(parts, shape, value)

    return made_of(_zipped(joined, [*elements, shapes, values]), names_of(elements))


def _spread(value: Any, like: Any) -> Any:
    """A value for all leaves, unless there is one for each."""
    if isinstance(like, (tuple, dict)) and isinstance(value, type(like)):
        return value
    return walk(lambda leaf: value, like)


def _zipped(function: Any, structures: list[Any]) -> Any:
    first = structures[0]
    if isinstance(first, dict):
        return {key: _zipped(function, [s[key] for s in structures]) for key in first}
    if isinstance(first, tuple):
        return tuple(_zipped(function, [s[i] for s in structures]) for i in range(len(first)))
    return function(*structures)


def _padded(parts: list[Any], shape: Any, value: Any) -> Any:
    wanted = [None] * parts[0].ndim if shape is None else [None if s in (None, -1) else int(s) for s in shape]
    sizes = [max(p.shape[i] for p in parts) if s is None else s for i, s in enumerate(wanted)]
    if any(have > want for part in parts for have, want in zip(part.shape, sizes, strict=True)):
        received = f"an element of shape {max(tuple(p.shape) for p in parts)}"
        raise ValueError(explain("Dataset.padded_batch", received, f"at most {tuple(sizes)}"))
    if isinstance(parts[0], StringTensor):
        arrays = [np.full(sizes, b"", dtype=object) for _ in parts]
        for array, part in zip(arrays, parts, strict=True):
            array[tuple(map(slice, part.array.shape))] = part.array
        return StringTensor(np.stack(arrays))
    filler = 0 if value is None else value.item() if hasattr(value, "item") else value
    widths = [[w for s, h in zip(reversed(sizes), reversed(p.shape), strict=True) for w in (0, s - h)] for p in parts]
    return torch.stack([F.pad(part, width, value=filler) for part, width in zip(parts, widths, strict=True)])


def rows_of(structure: Any) -> tuple[Any, int]:
    """Return tensors whose first axes run together, and their length.

    Raises:
        ValueError: no tensors, numbers, or different lengths.
    """
    rows = as_element(structure)
    flat = leaves(rows)
    if not flat or any(leaf.ndim == 0 for leaf in flat):
        raise ValueError(explain("Dataset.from_tensor_slices", "a single number", "tensors with a first axis"))
    lengths = {len(leaf) for leaf in flat}
    if len(lengths) > 1:
        received = f"tensors of lengths {[len(leaf) for leaf in flat]}"
        raise ValueError(explain("Dataset.from_tensor_slices", received, "one length"))
    return rows, lengths.pop()


def taken(rows: Any, chosen: Any) -> Any:
    """Return the rows of a number, or of a list of numbers as a batch."""
    if isinstance(chosen, int):
        return walk(lambda leaf: leaf[chosen], rows)
    index = torch.as_tensor(chosen)
    return walk(lambda leaf: leaf[index] if isinstance(leaf, StringTensor) else leaf.index_select(0, index), rows)


def named_rows(rows: Any, chosen: Any) -> Any:
    """Return rows, on which is noted what they are: by the first texts in them, as of files, or by their numbers."""
    numbers = [chosen] if isinstance(chosen, int) else chosen
    texts = next((leaf.array for leaf in leaves(rows) if isinstance(leaf, StringTensor) and leaf.ndim == 1), None)
    names = [f"sample {index}" if texts is None else os.fsdecode(texts[index]) for index in numbers]
    return made_of(taken(rows, chosen), names)


def spec_of(element: Any, batched: bool = False) -> Any:
    """Return the specification of an element; a batch's first size is left open."""

    def describe(leaf: Any) -> Any:
        if not isinstance(leaf, (Tensor, StringTensor)):
            return leaf
        shape = tuple(leaf.shape)
        return TensorSpec((None, *shape[1:]) if batched and shape else shape, as_dtype(leaf.dtype))

    return walk(describe, element)


def matching(value: Any, signature: Any) -> Any:
    """Make tensors of a generator's element, of the types and shapes that were announced.

    Raises:
        TypeError, ValueError: it does not match.
    """

    def convert(spec: Any, leaf: Any) -> Any:
        tensor = given(leaf, spec.dtype)
        if not spec.shape.is_compatible_with(tuple(tensor.shape)):
            received = f"an element of shape {tuple(tensor.shape)}"
            raise ValueError(explain("Dataset.from_generator", received, f"the shape {spec.shape} of its signature"))
        return tensor

    if isinstance(signature, (tuple, dict)) and isinstance(value, list):
        value = tuple(value)
    try:
        return walk(convert, signature, value)
    except (TypeError, KeyError) as error:
        received = f"an element that is no {type(signature).__name__} of {len(leaves(signature))} ({error})"
        raise TypeError(explain("Dataset.from_generator", received, "what its signature says")) from None


def plain(element: Any) -> Any:
    """Return an element with NumPy arrays (and numbers) in place of tensors."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, StringTensor):
            return leaf.numpy()
        array = leaf.detach().cpu().numpy()
        return array[()] if array.ndim == 0 else array

    return walk(convert, element)


def signature_of(types: Any, shapes: Any = None) -> Any:
    """Return the specifications of elements by their types, and shapes where they are known."""
    if isinstance(types, list):
        types = tuple(types)
    if shapes is None:
        return walk(lambda kind: TensorSpec(None, kind), types)
    if not isinstance(types, (tuple, dict)):
        return TensorSpec(shapes, types)
    if isinstance(types, dict):
        return {key: signature_of(types[key], shapes[key]) for key in types}
    return tuple(signature_of(kind, shape) for kind, shape in zip(types, shapes, strict=True))


class Described:
    """What has an ``element_spec`` tells it in the words of TensorFlow 1, too."""

    element_spec: Any

    @property
    def output_types(self) -> Any:
        """The types of the elements."""
        return tree.map_structure(lambda spec: spec.dtype, self.element_spec)

    @property
    def output_shapes(self) -> Any:
        """The shapes of the elements."""
        return tree.map_structure(lambda spec: spec.shape, self.element_spec)
