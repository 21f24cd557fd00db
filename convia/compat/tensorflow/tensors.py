"""What torch's tensors lack of TensorFlow's: methods that are added to them while a program of TensorFlow runs.

A tensor here is a plain ``torch.Tensor``, so tensors mix freely with layers, losses and torch itself. :func:`activate`
adds ``x.get_shape()``, ``x.shape.as_list()``, ``x.dtype.name``, ``x.numpy()`` of what has a gradient, operators with
arrays and lists, and indices with negative steps; :func:`deactivate` takes them away again. Nothing that works in torch
changes, but for one thing: ``x += y`` in a program makes a new tensor, since TensorFlow's tensors never change. Code of
torch and of convia keeps its in-place operators.
"""
# ruff: noqa: PLW0108

import ctypes
import gc
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import tree
from convia.compat.tensorflow import graphs, shown
from convia.compat.tensorflow.door import given
from convia.compat.tensorflow.dtypes import as_dtype
from convia.compat.tensorflow.shapes import TensorShape
from convia.compat.tensorflow.texts import StringTensor
from convia.symbolic import KerasTensor
from convia.variable import Variable

_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]
_COMPARISONS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "ne": operator.ne}
_FOREIGN = (list, tuple, np.ndarray)
_KEEP = ("torch", "convia")
_base: Any = Tensor.__mro__[1]  # where torch's own methods are


def _beside(x: Tensor, other: Any) -> Any:
    """Return a list or array as a tensor, which takes the type of a floating tensor."""
    other = given(other)
    fits = isinstance(other, Tensor) and x.is_floating_point() and not other.is_complex()
    return other.to(x.device, x.dtype) if fits else other


def _operator(name: str) -> Callable[..., Any]:
    plain = getattr(Tensor, name)

    def apply(self: Tensor, other: Any) -> Any:
        if isinstance(self, Variable) and graphs.is_deferring():
            return graphs.deferred(apply, (self, other))
        return plain(self, _beside(self, other) if isinstance(other, _FOREIGN) else other)

    return apply


def _in_place(name: str) -> Callable[..., Any]:
    plain, new = getattr(Tensor, f"__i{name}__"), getattr(operator, name)

    def apply(self: Tensor, other: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        return plain(self, other) if caller in _KEEP else new(self, other)

    return apply


def _numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    plain = self.detach().cpu()
    array: np.ndarray = _base.numpy((plain.float() if plain.dtype is torch.bfloat16 else plain).resolve_conj())
    return array


def _array_function(self: Tensor, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's functions see arrays and return them: ``np.squeeze(x)`` would call ``x.squeeze()``, which is torch's."""
    args, kwargs = tree.map_structure(_as_array, [list(args), kwargs])
    return func(*args, **kwargs)


def _as_array(leaf: Any) -> Any:
    return _numpy(leaf) if isinstance(leaf, Tensor) else leaf


def _array_wrap(self: Tensor, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
    return array[()] if return_scalar else array


def _index(self: Tensor, key: Any) -> Any:
    parts = key if type(key) is tuple else (key,)
    if isinstance(self, Variable) and graphs.is_deferring():
        return graphs.deferred(_index, (self, key))
    if not any(type(part) is slice and _step(part) < 0 for part in parts):
        return _base.__getitem__(self, key)
    return _backwards(self, parts)


def _negative(self: Tensor) -> Any:
    is_later = isinstance(self, Variable) and graphs.is_deferring()
    return graphs.deferred(torch.neg, (self,)) if is_later else torch.neg(self)


def _step(part: slice) -> int:
    return 1 if part.step is None else int(part.step)


def _backwards(x: Tensor, parts: tuple[Any, ...]) -> Tensor:
    """Index with steps below 0, which torch does not have: those axes are picked first, element by element."""
    plain, axis = [], 0
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    for part in parts:
        backwards = type(part) is slice and _step(part) < 0
        if backwards:
            chosen = range(x.shape[axis])[part]
            x = x.index_select(axis, torch.tensor(chosen, dtype=torch.long, device=x.device))
        plain.append(slice(None) if backwards else part)
        axis += 0 if part is None else x.ndim - taken if part is Ellipsis else 1
    found: Tensor = _base.__getitem__(x, tuple(plain))
    return found


_size_of = torch._C.TensorBase.shape.__get__  # type: ignore[attr-defined]


def _shape(self: Any) -> Any:
    """The shape: TensorFlow's for a program, which prints it; torch's own for torch and convia."""
    size = _size_of(self)
    return size if sys._getframe(1).f_globals.get("__name__", "").startswith(_INSIDE) else TensorShape(size)


def _get_shape(self: Any) -> TensorShape:
    return TensorShape(self.shape)


def _set_shape(self: Any, shape: Any) -> None:
    TensorShape(self.shape).assert_is_compatible_with(shape)


def _merge_shape(self: KerasTensor, shape: Any) -> None:
    self.__dict__["shape"] = tuple(TensorShape(self.shape).merge_with(shape))


class Reference:
    """Stands for a tensor in sets and dicts."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def deref(self) -> Any:
        """Return the tensor."""
        return self._tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other._tensor is self._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


def _numpy_type(dtype: Any) -> Any:
    return as_dtype(dtype).as_numpy_dtype


_SIZE = {  # methods of torch.Size: the shape of a tensor with numbers
    "as_list": lambda self: [*self],
    "assert_has_rank": lambda self, rank: TensorShape(self).assert_has_rank(rank),
    "assert_is_compatible_with": lambda self, other: TensorShape(self).assert_is_compatible_with(other),
    "concatenate": lambda self, other: TensorShape(self).concatenate(other),
    "dims": property(list),
    "is_compatible_with": lambda self, other: TensorShape(self).is_compatible_with(other),
    "is_fully_defined": lambda self: True,
    "merge_with": lambda self, other: TensorShape(self).merge_with(other),
    "ndims": property(len),
    "num_elements": lambda self: self.numel(),
    "rank": property(len),
    "with_rank": lambda self, rank: TensorShape(self).with_rank(rank),
}
_DTYPE = {  # of torch.dtype
    "as_numpy_dtype": property(_numpy_type),
    "base_dtype": property(lambda self: self),
    "is_bool": property(lambda self: self is torch.bool),
    "is_compatible_with": lambda self, other: as_dtype(other) == self,
    "is_floating": property(lambda self: self.is_floating_point),
    "is_integer": property(lambda self: as_dtype(self).is_integer),
    "limits": property(lambda self: as_dtype(self).limits),
    "max": property(lambda self: as_dtype(self).max),
    "min": property(lambda self: as_dtype(self).min),
    "name": property(lambda self: as_dtype(self).name),
    "size": property(lambda self: self.itemsize),
}
_TENSOR: dict[str, Any] = {
    "__array_function__": _array_function,
    "__array_wrap__": _array_wrap,
    "__format__": shown.formatted,
    "__repr__": shown.represented,
    "__str__": shown.shown,
    "__float__": lambda self: _base.__float__(self.detach()),  # torch warns of numbers that have a gradient
    "__getitem__": _index,
    "__int__": lambda self: _base.__int__(self.detach()),
    "__neg__": _negative,
    "consumers": lambda self: [],
    "get_shape": _get_shape,
    "numpy": _numpy,
    "ref": lambda self: Reference(self),  # a class is no method
    "experimental_ref": lambda self: Reference(self),
    "set_shape": _set_shape,
    "shape": property(_shape),
    "eval": lambda self, feed_dict=None, session=None: self.numpy(),
    **{f"__{name}__": _operator(f"__{name}__") for name in (*_BINARY, *_COMPARISONS)},
    **{f"__r{name}__": _operator(f"__r{name}__") for name in _BINARY},
    **{f"__i{name}__": _in_place(name) for name in _BINARY if hasattr(Tensor, f"__i{name}__")},
}
_SYMBOLIC: dict[str, Any] = {
    "__repr__": shown.of_symbol,
    "eval": lambda self, feed_dict=None, session=None: _numpy(graphs.evaluate([self], dict(feed_dict or {}))[0]),
    "get_shape": _get_shape,
    "ref": lambda self: Reference(self),
    "set_shape": _merge_shape,
    "shape": property(
        lambda self: TensorShape(self.__dict__["shape"]), lambda self, value: self.__dict__.update(shape=value)
    ),
}
_VARIABLE: dict[str, Any] = {"read_value": lambda self: self.clone()}
_before: dict[tuple[type, str], Any] = {}


def _members(owner: type) -> dict[str, Any]:
    """The dict of a class written in C, which Python does not let us set attributes of."""
    members: dict[str, Any] = gc.get_referents(owner.__dict__)[0]
    return members


def _changed(owner: type) -> None:
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


_INSIDE = ("torch.", "torch", "convia.", "functorch")
_BUILTIN: tuple[tuple[type, dict[str, Any]], ...] = ((torch.Size, _SIZE), (torch.dtype, _DTYPE))
_PYTHON: tuple[tuple[type, dict[str, Any]], ...] = (
    (Tensor, _TENSOR),
    (KerasTensor, _SYMBOLIC),
    (Variable, {"__repr__": shown.of_variable, **_VARIABLE}),
)


def is_active() -> bool:
    """Whether tensors have TensorFlow's methods."""
    return bool(_before)


def activate() -> None:
    """Give torch's tensors, types and shapes, and symbolic tensors, the methods of TensorFlow's."""
    if _before:
        return
    for owner, rows in _PYTHON:
        for name, value in rows.items():
            _before[owner, name] = owner.__dict__.get(name, _MISSING)
            setattr(owner, name, value)
    for owner, rows in _BUILTIN:
        _members(owner).update(rows)
        _changed(owner)


def deactivate() -> None:
    """Take away what :func:`activate` gave, and forget the graphs of TensorFlow 1."""
    graphs.reset()
    for (owner, name), value in _before.items():
        if value is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    if _before:
        for owner, rows in _BUILTIN:
            for name in rows:
                _members(owner).pop(name, None)
            _changed(owner)
    _before.clear()


_MISSING = object()


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        is_variable = isinstance(instance, Variable)
        return isinstance(instance, (Tensor, KerasTensor, StringTensor)) and not is_variable


class AnyTensor(metaclass=_AnyTensor):
    """``tf.Tensor``: what ``isinstance`` says of torch's tensors, symbolic ones, those of texts; not of variables."""
