"""Assertions and errors: ``tf.debugging``, ``tf.errors``."""

import operator
from collections.abc import Callable
from typing import Any

import torch

from convia.compat.tensorflow.control import InvalidArgumentError, assert_, require
from convia.compat.tensorflow.door import alike, given
from convia.compat.tensorflow.files import NotFoundError
from convia.compat.tensorflow.shapes import TensorShape
from convia.errors import explain
from convia.symbolic import KerasTensor


def _compared(name: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
        if isinstance(x, KerasTensor) or isinstance(y, KerasTensor):
            return
        one, two = alike(x, y)
        condition = torch.as_tensor(holds(one, two))
        require(condition, f"tf.debugging.assert_{label}", lambda: f"{one} and {two}", message)

    label = name
    return check


def _number_is(name: str, holds: Callable[[Any], Any]) -> Callable[..., None]:
    def check(x: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
        if not isinstance(x, KerasTensor):
            require(holds(given(x)), f"tf.debugging.assert_{label}", lambda: str(x), message)

    label = name
    return check


def assert_near(x: Any, y: Any, rtol: Any = None, atol: Any = None, message: Any = None, **ignored: Any) -> None:
    """Raise InvalidArgumentError unless two tensors are equal up to some digits."""
    one, two = (given(v) for v in alike(x, y))
    tiny = 10 * torch.finfo(one.dtype).eps
    close = (one - two).abs() <= float(atol or tiny) + float(rtol or tiny) * two.abs()
    require(close, "tf.debugging.assert_near", lambda: f"{one} and {two}", message)


def assert_rank(x: Any, rank: Any, message: Any = None, name: Any = None) -> None:
    """Raise ValueError unless a tensor has that many axes."""
    if len(given(x).shape) != int(rank):
        received = f"a tensor of shape {tuple(given(x).shape)}"
        raise ValueError(explain("tf.debugging.assert_rank", received, f"rank {int(rank)}", str(message or "")))


def assert_shapes(shapes: Any, data: Any = None, summarize: Any = None, message: Any = None, name: Any = None) -> None:
    """Raise ValueError unless tensors have their shapes; equal letters stand for equal sizes."""
    known: dict[Any, int] = {}
    for tensor, shape in shapes.items() if isinstance(shapes, dict) else shapes:
        sizes = tuple(given(tensor).shape)
        wanted = tuple(shape) if isinstance(shape, (tuple, list, str, TensorShape)) else (shape,)
        if len(sizes) != len(wanted):
            raise ValueError(explain("tf.debugging.assert_shapes", f"shape {sizes}", f"{wanted}", str(message or "")))
        for have, want in zip(sizes, wanted, strict=True):
            expected = known.setdefault(want, have) if isinstance(want, str) else want
            if want not in (None, ".") and have != expected:
                received = f"shape {sizes}"
                raise ValueError(explain("tf.debugging.assert_shapes", received, f"{wanted}", str(message or "")))


def assert_type(tensor: Any, tf_type: Any, message: Any = None, name: Any = None) -> None:
    """Raise TypeError unless a tensor has that type."""
    if tf_type != given(tensor).dtype:
        received = f"a tensor of type {given(tensor).dtype}"
        raise TypeError(explain("tf.debugging.assert_type", received, str(tf_type), str(message or "")))


def check_numerics(tensor: Any, message: str, name: Any = None) -> Any:
    """Return the tensor.

    Raises:
        InvalidArgumentError: it has an infinite element, or NaN.
    """
    x = given(tensor)
    if not isinstance(x, KerasTensor):
        require(torch.isfinite(x), "tf.debugging.check_numerics", lambda: "Inf or NaN", message)
    return x


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Accept a setting that means nothing here."""


_COMPARISONS = {
    "equal": operator.eq, "greater": operator.gt, "greater_equal": operator.ge, "less": operator.lt,
    "less_equal": operator.le, "none_equal": operator.ne,
}  # fmt: skip
_SIGNS: dict[str, Callable[[Any], Any]] = {
    "all_finite": torch.isfinite,
    "negative": lambda x: x < 0,
    "non_negative": lambda x: x >= 0,
    "non_positive": lambda x: x <= 0,
    "positive": lambda x: x > 0,
}
DEBUGGING: dict[str, Any] = {
    "Assert": assert_,
    **{f"assert_{name}": _compared(name, function) for name, function in _COMPARISONS.items()},
    **{f"assert_{name}": _number_is(name, function) for name, function in _SIGNS.items()},
    "assert_near": assert_near,
    "assert_rank": assert_rank,
    "assert_shapes": assert_shapes,
    "assert_type": assert_type,
    "check_numerics": check_numerics,
    "disable_check_numerics": _nothing,
    "enable_check_numerics": _nothing,
    "is_numeric_tensor": lambda tensor: isinstance(tensor, torch.Tensor),
    "set_log_device_placement": _nothing,
}


class OpError(Exception):
    """Base of errors of sessions and datasets."""

    def __init__(self, node_def: Any = None, op: Any = None, message: str = "", *args: Any) -> None:
        super().__init__(message or node_def)
        self.message = str(message or node_def)


class OutOfRangeError(OpError, StopIteration):
    """The end of a dataset; also a StopIteration."""


class UnknownError(OpError):
    """Anything else."""


_RAISED = (InvalidArgumentError, NotFoundError, torch.OutOfMemoryError)
ERRORS: dict[str, Any] = {
    "AbortedError": UnknownError,
    "AlreadyExistsError": FileExistsError,
    "CancelledError": UnknownError,
    "DataLossError": OSError,
    "FailedPreconditionError": OSError,
    "InternalError": UnknownError,
    "InvalidArgumentError": InvalidArgumentError,
    "NotFoundError": NotFoundError,
    "OpError": (OpError, *_RAISED),
    "OutOfRangeError": OutOfRangeError,
    "PermissionDeniedError": PermissionError,
    "ResourceExhaustedError": torch.OutOfMemoryError,
    "UnavailableError": UnknownError,
    "UnimplementedError": NotImplementedError,
    "UnknownError": UnknownError,
}
__all__ = ["DEBUGGING", "ERRORS", "assert_rank"]
