"""The door of every operation: arguments become tensors, types are promoted, functions become public.

Promotion follows Keras, which follows JAX: int with float gives the float type, Python's numbers take the type of the
tensor they meet, and no result has 64 bits.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, registry, tree
from convia.errors import explain
from convia.symbolic import op, tracing

_NAMESPACE = "keras.ops"
_NARROW = {
    torch.int64: torch.int32,
    torch.uint32: torch.int32,
    torch.uint64: torch.int32,
    torch.float64: torch.float32,
    torch.complex128: torch.complex64,
}
_SIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}  # torch promotes no others
_public: set[int] = set()


def place() -> torch.device | None:
    """Return where new tensors are made; None (torch's own choice) while shapes are computed."""
    return None if tracing() else config.device()


def tensor(value: Any, dtype: Any = None) -> Any:
    """Make a tensor of an array, a number or a list; tensors stay where they are, and None stays None.

    Python's floats get the float type of the configuration, its ints int32 (int64 where they need it).
    """
    if dtype is not None:
        dtype = config.torch_dtype(dtype)
    if isinstance(value, Tensor):
        return value if dtype is None or value.dtype == dtype else value.to(dtype)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        leaves = tree.flatten(value)
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            return torch.stack([tensor(item, dtype) for item in value])
        return torch.as_tensor(np.array(value), dtype=dtype or result_dtype(*map(kind_of, leaves)), device=place())
    if isinstance(value, (bool, int, float, complex)):
        return torch.as_tensor(value, dtype=dtype or _number_type(value), device=place())
    array = np.asarray(value)
    if array.dtype == np.uint32:
        array = array.astype(np.int64)
    if array.dtype.kind not in "biufc":
        raise ValueError(explain("convert_to_tensor", f"{value!r} of type {array.dtype}", "numbers"))
    return torch.as_tensor(array if array.flags.writeable else array.copy(), dtype=dtype, device=place())


def _number_type(value: Any) -> torch.dtype:
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**31) <= value < 2**31:
        return torch.int64
    return result_dtype(kind_of(value))


def kind_of(value: Any) -> Any:
    """Return the type of a tensor, an array or a number for the promotion of types."""
    python = next((kind for kind in (bool, int, float, complex) if isinstance(value, kind)), None)
    return python or getattr(value, "dtype", type(value))


def result_type(*dtypes: Any) -> str:
    """Return the name of the type that values of the given types, names or Python types have together."""
    return config.dtype_name(result_dtype(*dtypes))


def result_dtype(*dtypes: Any) -> torch.dtype:
    """Return the torch type that values of the given types, names or Python types have together."""
    return _result(frozenset(_standard(dtype) for dtype in dtypes), config.floatx())


def _standard(dtype: Any) -> Any:
    """One of Python's types, or torch's."""
    if dtype in (bool, int, float, complex):
        return dtype
    return config.torch_dtype(config.floatx() if dtype is None else getattr(dtype, "name", dtype))


@functools.cache
def _result(dtypes: frozenset[Any], floatx: str) -> torch.dtype:
    strong = [dtype for dtype in dtypes if isinstance(dtype, torch.dtype)]
    if bool in dtypes:
        strong.append(torch.bool)
    if len(strong) > 1:
        strong = [_SIGNED.get(dtype, dtype) for dtype in strong]
    found = functools.reduce(torch.promote_types, strong) if strong else torch.bool
    if complex in dtypes and not found.is_complex:
        found = torch.complex64
    elif float in dtypes and not (found.is_floating_point or found.is_complex):
        found = config.torch_dtype(floatx)
    elif (int in dtypes and found == torch.bool) or not dtypes:
        found = torch.int32 if dtypes else config.torch_dtype(floatx)
    return _NARROW.get(found, found)


def is_float(x: Tensor) -> bool:
    """Whether a tensor holds real or complex floating point numbers."""
    return x.is_floating_point() or x.is_complex()


def floating(x: Tensor) -> Tensor:
    """Turn whole numbers into the default float type."""
    return x if is_float(x) else x.to(config.torch_dtype(config.floatx()))


def counting(x: Tensor) -> Tensor:
    """Turn truth values into int32."""
    return x.to(torch.int32) if x.dtype == torch.bool else x


def together(*values: Any, also: tuple[Any, ...] = ()) -> list[Tensor]:
    """Make tensors of one type of several values; Python's numbers take the type of the others."""
    values = tuple(v if isinstance(v, (bool, int, float, complex)) else tensor(v) for v in values)
    dtype = result_dtype(*map(kind_of, values), *also)
    return [tensor(value, dtype) for value in values]


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes as a tuple of numbers from 0; None stands for all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for number in axes:
        if not -ndim <= number < ndim:
            raise ValueError(explain("argument 'axis'", number, f"from {-ndim} to {ndim - 1} for {ndim} dimensions"))
    return tuple(number % ndim for number in axes)


def public(tensors: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an operation: its first arguments are converted, and symbolic tensors are recorded."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(function).parameters)[:tensors]

        @functools.wraps(function)
        def converted(*args: Any, **kwargs: Any) -> Any:
            for name in names:
                if name in kwargs:
                    kwargs[name] = tensor(kwargs[name])
            return function(*map(tensor, args[:tensors]), *args[tensors:], **kwargs)

        return mark(op(converted if tensors else function))

    return decorate


def mark(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let :func:`publish` find a function."""
    _public.add(id(function))
    return function


def publish(module: dict[str, Any], more: Iterable[str] = (), without: Iterable[str] = ()) -> None:
    """Register a module's operations under the names that they have there, and make those names its ``__all__``.

    Operations of other modules that it imports count too, unless they are left out with ``without``.
    """
    names = [
        name
        for name, value in module.items()
        if id(value) in _public and not name.startswith("_") and name not in without
    ]
    for name in names:
        function = module[name]
        if function.__name__.startswith("_"):  # made from a row of a table
            _rename(function, name, module["__name__"])
        registry.register(_NAMESPACE, function, name)
    module["__all__"] = sorted([*names, *more])


def _rename(function: Any, name: str, module: str) -> None:
    while function is not None:
        function.__name__ = function.__qualname__ = name
        function.__module__ = module
        function = getattr(function, "__wrapped__", None)
