"""Shapes and specifications of tensors: ``tf.TensorShape``, ``tf.TensorSpec``."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from convia.compat.sizes import dimension, dimensions
from convia.compat.tensorflow.dtypes import as_dtype
from convia.errors import explain


class TensorShape(tuple[int | None, ...]):
    """Sizes along the axes, None for unknown ones; it is a tuple with TensorFlow's methods.

    Args:
        dims: sizes, one size, or None for a shape of which nothing is known.
    """

    rank: int | None

    def __new__(cls, dims: Any) -> "TensorShape":
        given = () if dims is None else (dims,) if isinstance(dims, int) else dims
        self = super().__new__(cls, (None if size is None or size == -1 else int(size) for size in given))
        self.rank = None if dims is None or getattr(dims, "rank", 0) is None else len(self)
        return self

    @property
    def ndims(self) -> int | None:
        """The number of axes, None if unknown."""
        return self.rank

    @property
    def dims(self) -> list[int | None] | None:
        """The sizes as a list, each with a ``value``, None if the number of axes is unknown."""
        return None if self.rank is None else list(self)

    def as_list(self) -> list[int | None]:
        """Return the sizes as a list.

        Raises:
            ValueError: nothing is known of the shape.
        """
        if self.rank is None:
            raise ValueError(explain("TensorShape.as_list", "a shape of unknown rank", "one of known rank"))
        return list(super().__iter__())

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return self.rank is not None and None not in self

    def num_elements(self) -> int | None:
        """Return the number of elements, None if unknown."""
        return math.prod(self) if self.is_fully_defined() else None  # type: ignore[arg-type]

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor could have both shapes."""
        other = TensorShape(other)
        if self.rank is None or other.rank is None:
            return True
        return len(self) == len(other) and all(
            a is None or b is None or a == b for a, b in zip(self, other, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise ValueError unless a tensor could have both shapes."""
        if not self.is_compatible_with(other):
            raise ValueError(explain("TensorShape", f"the shapes {self} and {TensorShape(other)}", "compatible shapes"))

    def merge_with(self, other: Any) -> "TensorShape":
        """Return what is known from both.

        Raises:
            ValueError: they contradict each other.
        """
        self.assert_is_compatible_with(other)
        other = TensorShape(other)
        if self.rank is None or other.rank is None:
            return other if self.rank is None else self
        return TensorShape([b if a is None else a for a, b in zip(self, other, strict=True)])

    def with_rank(self, rank: int) -> "TensorShape":
        """Return the shape, of unknown sizes if its rank was unknown.

        Raises:
            ValueError: it has another rank.
        """
        return self.merge_with([None] * rank)

    def assert_has_rank(self, rank: int) -> None:
        """Raise ValueError unless the shape has, or may have, that rank."""
        self.with_rank(rank)

    def concatenate(self, other: Any) -> "TensorShape":
        """Return these sizes and then the other's."""
        return TensorShape((*self, *TensorShape(other)))

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return TensorShape(found) if isinstance(key, slice) else dimension(found)

    def __iter__(self) -> Iterator[int | None]:
        return dimensions(super().__iter__())

    def __eq__(self, other: object) -> bool:
        return super().__eq__(tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __add__(self, other: Any) -> "TensorShape":
        return self.concatenate(other)

    def __radd__(self, other: Iterable[Any]) -> "TensorShape":
        return TensorShape((*other, *self))

    def __repr__(self) -> str:
        return f"TensorShape({None if self.rank is None else self.as_list()})"

    def __str__(self) -> str:
        return "<unknown>" if self.rank is None else tuple.__repr__(self)


class TensorSpec:
    """What is known of a tensor: its shape and type.

    Args:
        shape: sizes, None for unknown ones; None if nothing is known.
        dtype: a type.
    """

    def __init__(self, shape: Any, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape, self.dtype, self.name = TensorShape(shape), as_dtype(dtype), name

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> "TensorSpec":
        """Return the specification that a tensor fits exactly."""
        return cls(tuple(tensor.shape), tensor.dtype, name)

    def is_compatible_with(self, spec_or_tensor: Any) -> bool:
        """Whether a tensor, or another specification, fits."""
        same = self.dtype == as_dtype(spec_or_tensor.dtype)
        return same and self.shape.is_compatible_with(tuple(spec_or_tensor.shape))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"
