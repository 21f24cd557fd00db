"""How tensors, variables and symbolic tensors are printed in TensorFlow 2: programs show them."""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from convia.compat import eras
from convia.symbolic import KerasTensor
from convia.variable import Variable

_plain_repr: Any = Tensor.__repr__
_plain_format: Any = Tensor.__format__
_of_variable, _of_symbol = Variable.__repr__, KerasTensor.__repr__


def _has_numbers(tensor: Tensor) -> bool:
    return not tensor.is_meta and not isinstance(tensor, FakeTensor) and tensor.layout is torch.strided


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _text(tensor: Tensor, as_repr: bool) -> str:
    """The numbers; several lines begin on one of their own."""
    array = _array(tensor)
    text = str(array) if array.ndim == 0 or not as_repr else repr(array)
    return f"\n{text}" if "\n" in text else text


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def shown(tensor: Tensor) -> str:
    """Return what ``print(tensor)`` shows."""
    if isinstance(tensor, Variable) or not _has_numbers(tensor):
        return repr(tensor)
    return f"tf.Tensor({_text(tensor, False)}, shape={tuple(tensor.shape)}, dtype={_kind(tensor)})"


def represented(tensor: Tensor, **options: Any) -> str:
    """Return what a prompt, or a list of tensors, shows."""
    if options or not _has_numbers(tensor):
        return str(_plain_repr(tensor, **options))
    return f"<tf.Tensor: shape={tuple(tensor.shape)}, dtype={_kind(tensor)}, numpy={_text(tensor, True)}>"


def formatted(tensor: Tensor, spec: str) -> str:
    """Return what ``f"{tensor:…}"`` shows: the numbers alone."""
    if not _has_numbers(tensor):
        return str(_plain_format(tensor, spec))
    if isinstance(tensor, Variable) and not spec:
        return repr(tensor)
    array = _array(tensor)
    return format(array.item(), spec) if array.ndim == 0 and spec else format(array, spec)


def named(name: str, variable: Tensor) -> str:
    """Return what a variable of some name shows."""
    numbers = _text(variable, True)
    return f"<tf.Variable '{name}' shape={tuple(variable.shape)} dtype={_kind(variable)}, numpy={numbers}>"


def of_variable(variable: Variable) -> str:
    """Return what a weight shows."""
    if eras.current() not in eras.OLD or not _has_numbers(variable):
        return _of_variable(variable)
    return named(f"{variable.path}:0", variable)


def of_symbol(tensor: KerasTensor) -> str:
    """Return what a symbolic tensor shows."""
    if eras.current() not in eras.OLD:
        return _of_symbol(tensor)
    origin = "" if tensor.node is None else f" (created by layer '{tensor.node.operation.name}')"
    return f"<KerasTensor: shape={tuple(tensor.shape)} dtype={tensor.dtype}{origin}>"


__all__ = ["formatted", "named", "of_symbol", "of_variable", "represented", "shown"]
