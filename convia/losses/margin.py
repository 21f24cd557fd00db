"""Margin losses of classifiers whose labels are −1 and 1 (0 and 1 are taken as −1 and 1)."""

from typing import Any

import torch

from convia.losses.base import LossFunctionWrapper
from convia.losses.inputs import pair

__all__ = ["CategoricalHinge", "Hinge", "SquaredHinge", "categorical_hinge", "hinge", "squared_hinge"]


def _margin(who: str, y_true: Any, y_pred: Any) -> torch.Tensor:
    true, pred = pair(who, y_true, y_pred)
    is_binary = ((true == 0) | (true == 1)).all()
    signs = torch.where(is_binary, 2.0 * true - 1.0, true)
    return (1.0 - signs * pred).clamp(min=0.0)


def hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of max(1 − y·ŷ, 0) over the last axis."""
    return _margin("hinge", y_true, y_pred).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of max(1 − y·ŷ, 0)² over the last axis."""
    return _margin("squared_hinge", y_true, y_pred).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return max(max((1 − y)·ŷ) − Σ y·ŷ + 1, 0) of one-hot rows y."""
    true, pred = pair("categorical_hinge", y_true, y_pred)
    positive = (true * pred).sum(-1)
    negative = ((1.0 - true) * pred).amax(-1)
    return (negative - positive + 1.0).clamp(min=0.0)


class Hinge(LossFunctionWrapper, function=hinge):
    """Mean of max(1 − y·ŷ, 0)."""


class SquaredHinge(LossFunctionWrapper, function=squared_hinge):
    """Mean of max(1 − y·ŷ, 0)²."""


class CategoricalHinge(LossFunctionWrapper, function=categorical_hinge):
    """max(max((1 − y)·ŷ) − Σ y·ŷ + 1, 0) of one-hot rows y."""
