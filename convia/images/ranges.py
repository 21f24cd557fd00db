"""ImageDataGenerator's arguments that are ranges: checked, and brought to one form."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convia.errors import explain
from convia.images.transforms import check_pair


def zoom(value: Any, owner: Any, name: str) -> list[float]:
    """Return (least, largest) of a number r or a pair."""
    if isinstance(value, (float, int)):
        return [1 - value, 1 + value]
    if len(np.shape(value)) != 1 or len(value) != 2 or not all(isinstance(v, (float, int)) for v in value):
        expected = "a number r for factors from 1 − r to 1 + r, or (least, largest)"
        raise ValueError(explain(f"ImageDataGenerator, argument {name!r}", repr(value), expected))
    return [*value]


def share(value: Any, owner: Any, name: str) -> Any:
    """Return a share of something, 0 or between 0 and 1."""
    if value and not 0 < value < 1:
        raise ValueError(explain(f"ImageDataGenerator, argument {name!r}", repr(value), "a number between 0 and 1"))
    return value


def pair(value: Any, owner: Any, name: str) -> Any:
    """Return a pair, or None."""
    if value is not None:
        check_pair("ImageDataGenerator", name, value)
    return value


def from_least(start: float) -> Callable[[Any, Any, str], Any]:
    """Return a converter: a pair stays, a number r above 0 stands for (start, r), 0 for None."""

    def convert(value: Any, owner: Any, name: str) -> Any:
        both = (start, value) if isinstance(value, (int, float)) else value
        if value is None or value == 0:
            return None
        check_pair("ImageDataGenerator", name, both)
        if not 0 <= both[0] <= both[1]:
            expected = "(least, largest), not below 0, or a number above 0"
            raise ValueError(explain(f"ImageDataGenerator, argument {name!r}", repr(value), expected))
        return (float(both[0]), float(both[1]))

    return convert


def contrast(value: Any, owner: Any, name: str) -> Any:
    """Return factors: of r at most 1 those from 1 − r to 1 + r."""
    if isinstance(value, (int, float)) and 0 < value <= 1:
        value = (1 - value, 1 + value)
    return from_least(0.0)(value, owner, name)


def positive(value: Any, owner: Any, name: str) -> Any:
    """Return a number that is not below 0."""
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(explain(f"ImageDataGenerator, argument {name!r}", repr(value), "a number, not below 0"))
    return value
