"""``tf.TensorArray``: a list of tensors that loops fill one by one."""

from typing import Any

from convia import ops
from convia.compat.tensorflow.door import given, number
from convia.compat.tensorflow.dtypes import as_dtype
from convia.errors import explain

__all__ = ["TensorArray"]


class TensorArray:
    """Tensors by number; ``write`` returns the array itself, so that ``array = array.write(i, x)`` works.

    Args:
        dtype: the type of the tensors.
        size: how many places there are at first; they grow as they are written.
        clear_after_read, dynamic_size, …: accepted.
    """

    def __init__(self, dtype: Any, size: Any = None, dynamic_size: Any = None, clear_after_read: Any = None,
                 tensor_array_name: Any = None, handle: Any = None, flow: Any = None, infer_shape: bool = True,
                 element_shape: Any = None, colocate_with_first_write_call: bool = True,
                 name: Any = None) -> None:  # fmt: skip
        self.dtype, self.element_shape = as_dtype(dtype), element_shape
        self.dynamic_size = bool(dynamic_size)
        self._rows: list[Any] = [None] * (0 if size is None else number(size))

    def write(self, index: Any, value: Any, name: Any = None) -> "TensorArray":
        """Put a tensor at a place."""
        place = number(index)
        self._rows += [None] * (place + 1 - len(self._rows))
        self._rows[place] = given(value, self.dtype)
        return self

    def read(self, index: Any, name: Any = None) -> Any:
        """Return the tensor at a place.

        Raises:
            ValueError: nothing was written there.
        """
        place = number(index)
        found = self._rows[place] if place < len(self._rows) else None
        if found is None:
            raise ValueError(explain("tf.TensorArray.read", f"the place {place}", "one that was written to"))
        return found

    def _filled(self) -> list[Any]:
        written = [row for row in self._rows if row is not None]
        if not written:
            raise ValueError(explain("tf.TensorArray", "no tensors", "at least one write"))
        return [written[0] * 0 if row is None else row for row in self._rows]

    def stack(self, name: Any = None) -> Any:
        """Return the tensors along a new first axis; places never written to are zeros."""
        return ops.stack(self._filled())

    def concat(self, name: Any = None) -> Any:
        """Return the tensors joined along their first axis."""
        return ops.concatenate(self._filled(), 0)

    def gather(self, indices: Any, name: Any = None) -> Any:
        """Return the tensors at some places along a new first axis."""
        return ops.stack([self.read(place) for place in given(indices).tolist()])

    def unstack(self, value: Any, name: Any = None) -> "TensorArray":
        """Fill the places with the rows of a tensor."""
        value = given(value, self.dtype)
        self._rows = [value[place] for place in range(len(value))]
        return self

    def scatter(self, indices: Any, value: Any, name: Any = None) -> "TensorArray":
        """Put the rows of a tensor at places."""
        for place, row in zip(given(indices).tolist(), given(value), strict=True):
            self.write(place, row)
        return self

    def split(self, value: Any, lengths: Any, name: Any = None) -> "TensorArray":
        """Fill the places with parts of a tensor, of the given lengths."""
        self._rows = list(given(value, self.dtype).split(given(lengths).tolist()))
        return self

    def size(self, name: Any = None) -> Any:
        """Return the number of places, as a tensor."""
        return given(len(self._rows), "int32")

    def identity(self) -> "TensorArray":
        """Return the array."""
        return self

    def close(self, name: Any = None) -> None:
        """Do nothing."""

    mark_used = close
