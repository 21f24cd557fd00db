"""``tf.sparse`` as far as labels of sequences need it, and the distance between sequences.

A sparse tensor holds the places and values of what is not 0. It is no tensor of torch's: functions here take it, and
``tf.cast``.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia.compat.tensorflow.door import given
from convia.compat.tensorflow.shapes import TensorShape
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain


class SparseTensor:
    """Values at some places of a tensor, 0 elsewhere.

    Args:
        indices: the places (N, rank), in the order of rows.
        values: what is there (N,).
        dense_shape: the whole shape.

    Raises:
        ValueError: places and values that do not fit each other.
    """

    def __init__(self, indices: Any, values: Any, dense_shape: Any) -> None:
        self.indices, self.values = given(indices, "int64"), given(values)
        self.dense_shape = given(dense_shape, "int64")
        if self.indices.shape != (len(self.values), len(self.dense_shape)):
            received = f"indices {tuple(self.indices.shape)}, {len(self.values)} values"
            expected = f"indices of the shape ({len(self.values)}, {len(self.dense_shape)})"
            raise ValueError(explain("tf.SparseTensor", received, expected))

    @property
    def shape(self) -> TensorShape:
        """The whole shape."""
        return TensorShape(self.dense_shape.tolist())

    def get_shape(self) -> TensorShape:
        """Return the whole shape."""
        return self.shape

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return self.values.dtype

    def with_values(self, new_values: Any) -> "SparseTensor":
        """Return other values at the same places."""
        return SparseTensor(self.indices, new_values, self.dense_shape)

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Return (indices, values, dense_shape) as arrays."""
        return tuple(part.numpy() for part in (self.indices, self.values, self.dense_shape))

    def __repr__(self) -> str:
        return f"SparseTensor(indices={self.indices}, values={self.values}, dense_shape={self.dense_shape})"


def from_dense(tensor: Any, name: str | None = None) -> SparseTensor:
    """Return a tensor's values that are not 0, or no empty text."""
    dense = given(tensor)
    if isinstance(dense, StringTensor):
        places = torch.from_numpy(np.argwhere(dense.array != b""))
        values: Any = StringTensor(dense.array[tuple(places.T.numpy())])
    else:
        places = dense.nonzero()
        values = dense[tuple(places.T)]
    return SparseTensor(places, values, tuple(dense.shape))


def to_dense(sp_input: Any, default_value: Any = None, validate_indices: bool = True, name: str | None = None) -> Any:
    """Return a sparse tensor with ``default_value``, by default 0, where it has none; a dense one as it is."""
    if not isinstance(sp_input, SparseTensor):
        return sp_input
    sizes = tuple(sp_input.dense_shape.tolist())
    if isinstance(sp_input.values, StringTensor):
        texts = np.full(sizes, b"" if default_value is None else str(default_value).encode(), object)
        texts[tuple(sp_input.indices.T.numpy())] = sp_input.values.array
        return StringTensor(texts)
    dense = torch.full(sizes, 0 if default_value is None else default_value, dtype=sp_input.values.dtype)
    dense[tuple(sp_input.indices.T)] = sp_input.values
    return dense


def cast(sp_input: SparseTensor, dtype: Any, name: str | None = None) -> SparseTensor:
    """Return a sparse tensor of another type."""
    return sp_input.with_values(given(sp_input.values, dtype))


def _sequences(sparse: SparseTensor) -> dict[tuple[int, ...], list[Any]]:
    """The values along the last axis, by the place along the others."""
    found: dict[tuple[int, ...], list[Any]] = {}
    for place, value in zip(sparse.indices.tolist(), np.asarray(sparse.values).tolist(), strict=True):
        found.setdefault(tuple(place[:-1]), []).append(value)
    return found


def _distance(one: list[Any], other: list[Any]) -> int:
    """How many insertions, deletions and replacements make one sequence the other (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for i, item in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (item != wanted))
    return row[-1]


def edit_distance(hypothesis: Any, truth: Any, normalize: bool = True, name: str | None = None) -> Tensor:
    """Return the distances between sequences along the last axis, by default per element of the true one.

    An empty truth is infinitely far from what is not empty.

    Raises:
        TypeError: dense tensors.
    """
    for value in (hypothesis, truth):
        if not isinstance(value, SparseTensor):
            remedy = "Make one with tf.sparse.from_dense."
            raise TypeError(explain("tf.edit_distance", type(value).__name__, "two sparse tensors", remedy))
    sizes = tuple(max(a, b) for a, b in zip(hypothesis.shape[:-1], truth.shape[:-1], strict=True))
    found, true = _sequences(hypothesis), _sequences(truth)
    distances = np.zeros(sizes, np.float32)
    for place in np.ndindex(*sizes):
        one, other = found.get(place, []), true.get(place, [])
        count = _distance(one, other)
        distances[place] = count if not normalize else count / len(other) if other else np.inf if one else 0
    return torch.from_numpy(distances)


SPARSE: dict[str, Any] = {
    "SparseTensor": SparseTensor,
    "cast": cast,
    "from_dense": from_dense,
    "to_dense": to_dense,
}
__all__ = ["SPARSE", "SparseTensor", "edit_distance", "from_dense", "to_dense"]
