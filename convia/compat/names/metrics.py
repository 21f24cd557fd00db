"""Metrics under older names."""

from typing import Any

from convia import metrics
from convia.compat.names.losses import (
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    cosine,
    cosine_proximity,
    kld,
    kullback_leibler_divergence,
    logcosh,
    mae,
    mape,
    mse,
    msle,
)


class MeanTensor(metrics.Metric):
    """The mean of tensors, element by element."""

    def __init__(self, name: str = "mean_tensor", dtype: Any = None, shape: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._total: Any = 0.0
        self._weight: Any = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add a tensor."""
        weight = 1.0 if sample_weight is None else sample_weight
        self._total, self._weight = self._total + values * weight, self._weight + weight

    def result(self) -> Any:
        """Return the mean."""
        return self._total / self._weight

    def reset_state(self) -> None:
        """Start anew."""
        self._total = self._weight = 0.0


__all__ = [
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "MeanTensor",
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
