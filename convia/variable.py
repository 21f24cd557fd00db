"""Variable: a torch parameter that also speaks Keras (name, path, assign, numpy)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from convia import config
from convia.errors import explain
from convia.layout import Perm, empty_in_order

_allowance: ContextVar[list[int] | None] = ContextVar("allowance", default=None)  # bytes left, of those at first


@contextmanager
def allowance(size: int) -> Iterator[None]:
    """Within the block new weights may take so many bytes together: a config in a file may ask for any number."""
    token = _allowance.set([size, size])
    try:
        yield
    finally:
        _allowance.reset(token)


def _spend(shape: Any, dtype: torch.dtype) -> None:
    left = _allowance.get()
    if left is None:
        return
    left[0] -= math.prod(int(size) for size in shape) * dtype.itemsize
    if left[0] < 0:
        received, expected = f"a weight of shape {tuple(shape)}", f"weights of {left[1]:,} bytes at most, by its size"
        raise ValueError(explain("A model in a file", received, expected, "The file is damaged; do not trust it."))


class Variable(torch.nn.Parameter):
    """A weight. It is an ordinary ``torch.nn.Parameter``; autograd, optimizers, DDP and export see nothing else.

    Args:
        initializer: a tensor, array or number; or a function of (shape, dtype=) that makes one.
        shape: needed with a function.
        dtype: "float32" unless given or taken from the value.
        trainable: whether gradients are computed for it.
        name: the last part of its path, such as "kernel".
        order: the axes in the order in which memory should run through them (see ``layout.py``).
        regularizer, constraint: functions of the weight, or None.
    """

    name: str
    path: str
    autocast: bool
    aggregation: str
    synchronization: str
    regularizer: Any
    constraint: Any
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(
        cls,
        initializer: Any,
        shape: Any = None,
        dtype: str | torch.dtype | None = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        *,
        order: Perm | None = None,
        regularizer: Callable[[torch.Tensor], torch.Tensor] | None = None,
        constraint: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> "Variable":
        data = _first_value(initializer, shape, dtype, order)
        self = torch.Tensor._make_subclass(cls, data, trainable and data.is_floating_point())
        self._trainable = trainable
        self._name = name or "variable"
        self.path = self._name
        self.autocast = autocast
        self.aggregation = aggregation
        self.synchronization = synchronization
        self.regularizer = regularizer
        self.constraint = constraint
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do after ``__new__``."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Variable":
        data = self.data.clone(memory_format=torch.preserve_format)
        copy = torch.Tensor._make_subclass(type(self), data, self.requires_grad)
        memo[id(self)] = copy
        copy.__dict__.update({key: deepcopy(value, memo) for key, value in self.__dict__.items()})
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (self.data, self.requires_grad, self.__dict__)

    def __repr__(self) -> str:  # type: ignore[override]
        shape, dtype = tuple(self.shape), config.dtype_name(self.dtype)
        return f"<Variable path={self.path}, shape={shape}, dtype={dtype}, value={self.numpy()}>"

    @property  # type: ignore[no-redef]
    def name(self) -> str:
        """The last part of the path, such as "kernel"."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def value(self) -> "Variable":
        """The tensor itself."""
        return self

    @property
    def trainable(self) -> bool:
        """Whether gradients are computed for this weight."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self.requires_grad_(bool(value) and self.is_floating_point())

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """Return a copy as a NumPy array, wherever the weight is and whether or not it has a gradient."""
        data = self.detach().cpu()
        return (data.float() if data.dtype == torch.bfloat16 else data).numpy().copy()

    def assign(self, value: Any) -> "Variable":
        """Set all elements, in place.

        Raises:
            ValueError: the value has another shape.
        """
        given = torch.as_tensor(value)
        if given.shape != self.shape:
            raise ValueError(
                explain(
                    f"Variable {self.path!r}", f"a value of shape {tuple(given.shape)}", f"shape {tuple(self.shape)}"
                )
            )
        with torch.no_grad():
            self.copy_(given)
        return self

    def assign_add(self, value: Any) -> "Variable":
        """Add to all elements, in place."""
        with torch.no_grad():
            self.add_(torch.as_tensor(value, device=self.device))
        return self

    def assign_sub(self, value: Any) -> "Variable":
        """Subtract from all elements, in place."""
        with torch.no_grad():
            self.sub_(torch.as_tensor(value, device=self.device))
        return self


def _first_value(initializer: Any, shape: Any, dtype: Any, order: Perm | None) -> torch.Tensor:
    if not callable(initializer) or isinstance(initializer, torch.Tensor):
        given = initializer if isinstance(initializer, torch.Tensor) else torch.as_tensor(np.asarray(initializer))
        wanted = dtype or (config.floatx() if given.is_floating_point() else given.dtype)
        return given.detach().to(device=config.device(), dtype=config.torch_dtype(wanted), copy=True)
    if shape is None:
        raise ValueError(explain("Variable", "an initializer function without a shape", "a shape such as (3, 3)"))
    shape = tuple(shape)
    _spend(shape, config.torch_dtype(dtype or config.floatx()))
    data = empty_in_order(shape, order, config.torch_dtype(dtype or config.floatx()), config.device())
    with torch.no_grad():
        data.copy_(torch.as_tensor(initializer(shape, dtype=config.dtype_name(data.dtype))))
    return data


def _rebuild(data: torch.Tensor, requires_grad: bool, state: dict[str, Any]) -> Variable:
    self = torch.Tensor._make_subclass(Variable, data, requires_grad)
    self.__dict__.update(state)
    return self
