"""Sizes along the axes of a tensor as TensorFlow 1 had them: numbers that have a ``value``."""

from collections.abc import Iterable, Iterator


class Dimension(int):
    """A known size; it is a whole number."""

    __slots__ = ()

    @property
    def value(self) -> int:
        """The size as a plain number."""
        return int(self)


def dimension(size: int | None) -> int | None:
    """Return a size with a ``value``; an unknown one stays None."""
    return size if size is None else Dimension(size)


def dimensions(sizes: Iterable[int | None]) -> Iterator[int | None]:
    """Yield sizes with a ``value``."""
    return map(dimension, sizes)


__all__ = ["Dimension", "dimension", "dimensions"]
