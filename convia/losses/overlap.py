"""Losses of segmentation: how much of two masks does not overlap."""

from dataclasses import KW_ONLY
from typing import Any

import torch

from convia import config
from convia.losses.base import LossFunctionWrapper, Reduction
from convia.losses.inputs import pair

__all__ = ["Dice", "Tversky", "dice", "tversky"]

Axes = int | tuple[int, ...] | list[int] | None


def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> torch.Tensor:
    """Return 1 − 2·Σ y·ŷ / (Σ y + Σ ŷ), sums over ``axis`` (all axes without one)."""
    true, pred = pair("dice", y_true, y_pred)
    overlap = (true * pred).sum(axis)
    return 1.0 - 2.0 * overlap / (true.sum(axis) + pred.sum(axis) + config.epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> torch.Tensor:
    """Return 1 − overlap / (overlap + α·missed + β·invented); α = β = ½ is the Dice loss.

    Missed is Σ y·(1 − ŷ), invented Σ ŷ·(1 − y), over ``axis`` (Salehi et al. 2017, arXiv:1706.05721; Keras's
    assignment of α and β).
    """
    true, pred = pair("tversky", y_true, y_pred)
    overlap = (true * pred).sum(axis)
    missed = ((1.0 - pred) * true).sum(axis)
    invented = (pred * (1.0 - true)).sum(axis)
    return 1.0 - overlap / (overlap + missed * alpha + invented * beta + config.epsilon())


class Dice(LossFunctionWrapper, function=dice):
    """1 − 2·overlap / (size + size)."""

    _: KW_ONLY  # for type checkers
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "dice"
    axis: Axes = None


class Tversky(LossFunctionWrapper, function=tversky):
    """1 − overlap / (overlap + α·missed + β·invented)."""

    alpha: float = 0.5
    beta: float = 0.5
    _: KW_ONLY  # for type checkers
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "tversky"
    axis: Axes = None
