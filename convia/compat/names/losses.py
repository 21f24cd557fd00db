"""Losses under older names."""

from typing import Any

from convia import losses, ops

mse = MSE = losses.mean_squared_error
mae = MAE = losses.mean_absolute_error
mape = MAPE = losses.mean_absolute_percentage_error
msle = MSLE = losses.mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = losses.kl_divergence
logcosh = losses.log_cosh


def cosine_proximity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """−cos of the angle between labels and predictions."""
    first, second = (ops.normalize(x, axis=axis) for x in (y_true, y_pred))
    return -ops.sum(first * second, axis=axis)


cosine = cosine_proximity


class Reduction:
    """The names of the ways to reduce a loss."""

    AUTO = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


__all__ = [
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "Reduction",
    "cosine",
    "cosine_proximity",
    "kld",
    "kullback_leibler_divergence",
    "logcosh",
    "mae",
    "mape",
    "mse",
    "msle",
]
