"""The door of every function: what programs pass becomes tensors, and calls on symbolic tensors join the graph."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from convia import ops, tree
from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.dtypes import DType, torch_dtype
from convia.compat.tensorflow.texts import StringTensor, is_text
from convia.ops.door import place, tensor
from convia.symbolic import KerasTensor, any_symbolic, is_symbolic, record_function, symbolic_leaves, tracing

__all__ = ["alike", "api", "axes", "given", "is_symbolic", "number", "numbers", "place", "torch_dtype", "tracing"]


def given(value: Any, dtype: Any = None) -> Any:
    """Return a tensor for what a program passes; texts become a StringTensor, symbolic tensors stay symbolic."""
    if isinstance(value, StringTensor):
        return value
    if isinstance(value, KerasTensor):
        return value if dtype is None else ops.cast(value, torch_dtype(dtype))
    if isinstance(value, Tensor):
        return value if dtype is None else tensor(value, torch_dtype(dtype))
    if hasattr(value, "to_numpy"):  # a column, table or array of pandas
        value = value.to_numpy()
    if is_text(value) or (dtype is not None and getattr(dtype, "name", dtype) == "string"):
        return StringTensor(value)
    if isinstance(value, (list, tuple)) and (symbolic_leaves(value) or (tracing() and _has_tensors(value))):
        return ops.stack([given(item, dtype) for item in value])
    if isinstance(value, (torch.dtype, DType)):
        raise TypeError(f"a type ({value}) is no tensor")
    if isinstance(value, np.generic):
        value = np.asarray(value)
    return tensor(value, torch_dtype(dtype))


def _has_tensors(nested: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree.flatten(nested))


def alike(x: Any, y: Any) -> tuple[Any, Any]:
    """Make tensors of two operands; arrays and lists of floats take the type of a floating tensor they meet."""
    if isinstance(x, Tensor) and not isinstance(y, Tensor):
        return x, _meeting(y, x)
    if isinstance(y, Tensor) and not isinstance(x, Tensor):
        return _meeting(x, y), y
    return given(x), given(y)


def _meeting(value: Any, other: Tensor) -> Any:
    if isinstance(value, (bool, int, float, KerasTensor, StringTensor)) or is_text(value):
        return value
    value = given(value)
    fits = value.is_floating_point() or not other.is_floating_point()
    kind = other.dtype if fits == other.is_floating_point() else value.dtype
    return value.to(other.device, kind)


def number(value: Any) -> int:
    """Return a size or axis as a plain number."""
    return int(value)


def numbers(values: Any) -> Any:
    """Return sizes, also in tensors and arrays, as a tuple of numbers; −1 stands for an unknown one."""
    if isinstance(values, (Tensor, np.ndarray)):
        return tuple(values.reshape(-1).tolist())
    if isinstance(values, (list, tuple)):
        return tuple(-1 if value is None else int(value) for value in values)
    return (int(values),)


def axes(axis: Any) -> Any:
    """Return an axis as a number, several as a tuple, None as None."""
    if axis is None or isinstance(axis, int):
        return axis
    if isinstance(axis, Sequence):
        return tuple(int(number) for number in axis)
    found = np.asarray(axis).tolist()
    return tuple(found) if isinstance(found, list) else found


@overload
def api(
    function: Callable[..., Any], *, record: Sequence[str] | None = None, draws: bool = False
) -> Callable[..., Any]: ...
@overload
def api(
    *, record: Sequence[str] | None = None, draws: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def api(function: Callable[..., Any] | None = None, *, record: Sequence[str] | None = None, draws: bool = False) -> Any:
    """Make a function of tensors one of TensorFlow's: it takes ``name=``, and symbolic tensors.

    Args:
        record: names of the arguments that, when symbolic, make the call a node of the graph. By default any argument
            does; a function made of ``convia.ops`` needs none, for those record themselves, and can then be saved.
        draws: whether it draws at random, in the graphs of TensorFlow 1 anew in each run.
    """
    if function is None:
        return functools.partial(api, record=record, draws=draws)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if "name" in kwargs and "name" not in signature.parameters:
            kwargs.pop("name")
        if graphs.is_deferring() and (draws or graphs.holds_variables(args, kwargs)):
            return graphs.deferred(function, args, kwargs)
        if any_symbolic(args, kwargs) and _records(signature, record, args, kwargs):
            return record_function(function, args, kwargs)
        return function(*args, **kwargs)

    return called


def _records(signature: inspect.Signature, record: Sequence[str] | None, args: Any, kwargs: Any) -> bool:
    if record is None:
        return True
    bound = signature.bind(*args, **kwargs).arguments
    return bool(symbolic_leaves([bound[name] for name in record if name in bound]))
