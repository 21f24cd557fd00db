"""Metrics under older names."""

from typing import Any

from convia import metrics
from convia.compat.names.losses import SHORT, functions

globals().update(functions(metrics) | SHORT)


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

    reset_states = reset_state


__all__ = ["MeanTensor", *functions(metrics), *SHORT]  # noqa: PLE0604
