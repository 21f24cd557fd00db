"""Whether the library itself is at work: what a program's functions compute then is computed at once."""

from collections.abc import Iterator
from contextlib import contextmanager

_depth = [0]


def is_busy() -> bool:
    """Whether a step of training or testing, or the block of a tape, is in progress."""
    return _depth[0] > 0


def begin() -> None:
    """Note that work begins."""
    _depth[0] += 1


def end() -> None:
    """Note that it ends."""
    _depth[0] -= 1


@contextmanager
def busy() -> Iterator[None]:
    """A block of the library's work."""
    begin()
    try:
        yield
    finally:
        end()


__all__ = ["begin", "busy", "end", "is_busy"]
