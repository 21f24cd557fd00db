"""Correlation of labels and predictions along an axis."""

from typing import Any

import torch

from convia import config
from convia.losses.inputs import pair
from convia.metrics.base import MeanMetricWrapper

__all__ = ["ConcordanceCorrelation", "PearsonCorrelation", "concordance_correlation", "pearson_correlation"]


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return cov(y, ŷ) / (σ_y σ_ŷ) along ``axis``: 1 is the best, 0 means unrelated."""
    true, pred = pair("pearson_correlation", y_true, y_pred)
    true, pred = ((x - x.mean(axis, keepdim=True)) / x.std(axis, keepdim=True, correction=0) for x in (true, pred))
    return (true * pred).mean(axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return 2·cov(y, ŷ) / (σ_y² + σ_ŷ² + (ȳ − mean ŷ)²) along ``axis`` (Lin 1989)."""
    true, pred = pair("concordance_correlation", y_true, y_pred)
    mean_true, mean_pred = true.mean(axis, keepdim=True), pred.mean(axis, keepdim=True)
    spread = sum(x.var(axis, keepdim=True, correction=0) for x in (true, pred))
    covariance = (true - mean_true) * (pred - mean_pred)
    return (2 * covariance / (spread + (mean_true - mean_pred).square() + config.epsilon())).mean(axis)


class PearsonCorrelation(MeanMetricWrapper, function=pearson_correlation, direction="up"):
    """Mean Pearson correlation along ``axis``."""

    axis: int = -1


class ConcordanceCorrelation(MeanMetricWrapper, function=concordance_correlation, direction="up"):
    """Mean concordance correlation along ``axis``."""

    axis: int = -1
