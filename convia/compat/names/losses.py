"""Losses under older names; all functions also take symbolic tensors, as losses of autoencoders did."""

import inspect
from collections.abc import Callable
from typing import Any

from convia import losses, ops, symbolic


def either(function: Any) -> Any:
    """Return a function that also takes symbolic tensors; ``compile`` gets the one of today."""
    wrapped: Any = symbolic.op(function)
    wrapped.of_today = function
    return wrapped


def functions(home: Any) -> dict[str, Callable[..., Any]]:
    """Return a module's functions of labels and predictions in this form."""
    found = {name: value for name, value in vars(home).items() if inspect.isfunction(value)}
    return {
        name: either(value)
        for name, value in found.items()
        if list(inspect.signature(value).parameters)[:2] == ["y_true", "y_pred"] and not name.startswith("_")
    }


class Reduction:
    """The names of the ways to reduce a loss."""

    AUTO = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


def cosine_proximity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """−cos of the angle between labels and predictions."""
    first, second = (ops.normalize(x, axis=axis) for x in (y_true, y_pred))
    return -ops.sum(first * second, axis=axis)


_SHORT = {
    "mse": losses.mean_squared_error,
    "mae": losses.mean_absolute_error,
    "mape": losses.mean_absolute_percentage_error,
    "msle": losses.mean_squared_logarithmic_error,
    "kld": losses.kl_divergence,
}
SHORT: dict[str, Any] = {name: either(function) for name, function in _SHORT.items()}
SHORT |= {name.upper(): function for name, function in SHORT.items()}
SHORT |= {
    "kullback_leibler_divergence": SHORT["kld"],
    "logcosh": either(losses.log_cosh),
    "cosine": cosine_proximity,
    "cosine_proximity": cosine_proximity,
}
globals().update(functions(losses) | SHORT)

__all__ = ["Reduction", *functions(losses), *SHORT]  # noqa: PLE0604
