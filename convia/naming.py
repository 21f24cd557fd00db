"""Automatic names: conv2d, conv2d_1, conv2d_2, …"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_used: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """Turn a class name into a layer's name: MaxPooling2D → max_pooling2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """Return the next free name for a class or prefix: the first is bare, the others are numbered."""
    prefix = snake_case(prefix)
    number = _used[prefix]
    _used[prefix] += 1
    return f"{prefix}_{number}" if number else prefix


@contextmanager
def uncounted() -> Iterator[None]:
    """Within the block, names are taken that are free again after it."""
    before = _used.copy()
    try:
        yield
    finally:
        _used.clear()
        _used.update(before)


def get_uid(prefix: str = "") -> int:
    """Count the calls per prefix, from 1."""
    _used[prefix] += 1
    return _used[prefix]


def reset_uids() -> None:
    """Start numbering anew."""
    _used.clear()
