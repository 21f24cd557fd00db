"""Scalar: a number of an optimizer's state that lives in Python and speaks like a Variable."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convia.config import torch_dtype
from convia.errors import explain


class Scalar:
    """A 0-d weight without a tensor, so that reading it never waits for a device.

    ``float()``, ``int()``, arithmetic, comparisons, ``numpy()`` and ``assign`` work as on a Variable. A value that is
    assigned is rounded to ``dtype``, as a tensor would.
    """

    trainable = False
    shape = torch.Size([])
    ndim = 0

    def __init__(self, value: Any, dtype: str | torch.dtype, name: str) -> None:
        self.dtype = torch_dtype(dtype)
        self.name = name
        self.path = name
        self.number: Any = 0
        self.assign(value)

    def assign(self, value: Any) -> "Scalar":
        """Set the number; takes numbers, NumPy scalars, tensors and variables of one element.

        Raises:
            ValueError: more or fewer than one element.
        """
        given = torch.as_tensor(value.number if isinstance(value, Scalar) else value)
        if given.numel() != 1:
            raise ValueError(explain(f"Variable {self.path!r}", f"a value of shape {tuple(given.shape)}", "one number"))
        self.number = given.detach().to("cpu", self.dtype).item()
        return self

    def assign_add(self, value: Any) -> "Scalar":
        """Add to the number."""
        return self.assign(self.number + value)

    def assign_sub(self, value: Any) -> "Scalar":
        """Subtract from the number."""
        return self.assign(self.number - value)

    @property
    def value(self) -> torch.Tensor:
        """The number as a 0-d tensor, a copy."""
        return torch.tensor(self.number, dtype=self.dtype)

    def numpy(self) -> np.ndarray:
        """Return the number as a 0-d array."""
        return np.array(self.number, str(self.dtype).removeprefix("torch.").replace("bfloat16", "float32"))

    def item(self) -> Any:
        """Return the number."""
        return self.number

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __float__(self) -> float:
        return float(self.number)

    def __int__(self) -> int:
        return int(self.number)

    def __index__(self) -> int:
        return operator.index(self.number)

    def __bool__(self) -> bool:
        return bool(self.number)

    def __neg__(self) -> Any:
        return -self.number

    def __format__(self, spec: str) -> str:
        return format(self.number, spec)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape=(), dtype={str(self.dtype)[6:]}, value={self.number}>"

    __hash__ = object.__hash__


def _plain(other: Any) -> Any:
    return other.number if isinstance(other, Scalar) else other


def _forward(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: function(self.number, _plain(other))


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: function(_plain(other), self.number)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Scalar, f"__{_name}__", _forward(getattr(operator, _name)))
    setattr(Scalar, f"__r{_name}__", _reflected(getattr(operator, _name)))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Scalar, f"__{_name}__", _forward(getattr(operator, _name)))
