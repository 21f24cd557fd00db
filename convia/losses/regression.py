"""Losses of numbers: squared, absolute, relative and robust errors, and the angle between vectors."""

import math
from typing import Any, ClassVar

import torch
from torch.nn import functional

from convia import config
from convia.losses.base import LossFunctionWrapper
from convia.losses.inputs import pair

__all__ = [
    "CosineSimilarity",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "cosine_similarity",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
]


def mean_squared_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of (y − ŷ)² over the last axis."""
    true, pred = pair("mean_squared_error", y_true, y_pred)
    return (true - pred).square().mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of |y − ŷ| over the last axis."""
    true, pred = pair("mean_absolute_error", y_true, y_pred)
    return (true - pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 100 × the mean of |y − ŷ| / |y| over the last axis; |y| is at least epsilon."""
    true, pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ((true - pred) / true.abs().clamp(min=config.epsilon())).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of (log(1 + y) − log(1 + ŷ))² over the last axis; both are at least epsilon."""
    true, pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    low = config.epsilon()
    return ((pred.clamp(min=low) + 1.0).log() - (true.clamp(min=low) + 1.0).log()).square().mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> torch.Tensor:
    """Return the mean over the last axis of e²/2 where |e| ≤ δ, else δ|e| − δ²/2 (Huber 1964)."""
    true, pred = pair("huber", y_true, y_pred)
    return functional.huber_loss(pred, true, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of log(cosh(ŷ − y)) over the last axis, computed without overflow."""
    true, pred = pair("log_cosh", y_true, y_pred)
    error = pred - true
    return (error + functional.softplus(error * -2.0) - math.log(2.0)).mean(-1)


def unit(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Divide vectors along an axis by their Euclidean length; a zero vector stays zero."""
    return x * x.square().sum(axis, keepdim=True).rsqrt().clamp(max=1.0 / config.epsilon())


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return minus the cosine of the angle between vectors along ``axis``: −1 is the best, 1 the worst."""
    true, pred = pair("cosine_similarity", y_true, y_pred)
    return -(unit(true, axis) * unit(pred, axis)).sum(axis)


def _total_squared_error(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    true, pred = pair("mean_squared_error", y_true, y_pred)
    return functional.mse_loss(pred, true)


def _total_absolute_error(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    true, pred = pair("mean_absolute_error", y_true, y_pred)
    return functional.l1_loss(pred, true)


class MeanSquaredError(LossFunctionWrapper, function=mean_squared_error, mean=_total_squared_error):
    """Mean of (y − ŷ)²."""


class MeanAbsoluteError(LossFunctionWrapper, function=mean_absolute_error, mean=_total_absolute_error):
    """Mean of |y − ŷ|."""


class MeanAbsolutePercentageError(LossFunctionWrapper, function=mean_absolute_percentage_error):
    """100 × mean of |y − ŷ| / |y|."""


class MeanSquaredLogarithmicError(LossFunctionWrapper, function=mean_squared_logarithmic_error):
    """Mean of (log(1 + y) − log(1 + ŷ))²."""


class CosineSimilarity(LossFunctionWrapper, function=cosine_similarity):
    """Minus the cosine of the angle between label and prediction along ``axis``."""

    _unsaved: ClassVar[frozenset[str]] = frozenset({"axis"})
    axis: int = -1


class Huber(LossFunctionWrapper, function=huber, name="huber_loss"):
    """Squared error up to ``delta``, linear beyond it."""

    _unsaved: ClassVar[frozenset[str]] = frozenset({"delta"})
    delta: float = 1.0


class LogCosh(LossFunctionWrapper, function=log_cosh):
    """Mean of log(cosh(ŷ − y)): like a squared error near 0, like an absolute one far away."""
