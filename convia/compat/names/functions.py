"""Regularizers, constraints and activations under older names."""

from typing import Any

from convia import activations, backend, constraints, regularizers
from convia.compat import eras

L1L2 = regularizers.L1L2


def l1(l: float = 0.01, l1: float | None = None) -> Any:  # noqa: E741
    """Return the penalty l·Σ|w|."""
    return regularizers.L1(l if l1 is None else l1)


def l2(l: float = 0.01, l2: float | None = None) -> Any:  # noqa: E741
    """Return the penalty l·Σw²."""
    return regularizers.L2(l if l2 is None else l2)


def l1l2(l1: float = 0.01, l2: float = 0.01) -> Any:
    """Return both penalties."""
    return regularizers.L1L2(l1, l2)


l1_l2 = l1l2
activity_l1, activity_l2, activity_l1l2 = l1, l2, l1l2
WeightRegularizer = ActivityRegularizer = l1l2


def maxnorm(m: float = 2, axis: int = 0) -> Any:
    """Limit the norms of weights."""
    return constraints.MaxNorm(m, axis)


max_norm = maxnorm
nonneg = non_neg = constraints.NonNeg
unitnorm = unit_norm = constraints.UnitNorm
min_max_norm = constraints.MinMaxNorm


def hard_sigmoid(x: Any) -> Any:
    """0.2·x + 0.5 within [0, 1] before Keras 3, relu6(x + 3)/6 in it."""
    return backend.hard_sigmoid(x) if eras.current() in eras.OLD else activations.hard_sigmoid(x)


swish = activations.silu

__all__ = [
    "L1L2",
    "ActivityRegularizer",
    "WeightRegularizer",
    "activity_l1",
    "activity_l1l2",
    "activity_l2",
    "hard_sigmoid",
    "l1",
    "l1_l2",
    "l1l2",
    "l2",
    "max_norm",
    "maxnorm",
    "min_max_norm",
    "non_neg",
    "nonneg",
    "swish",
    "unit_norm",
    "unitnorm",
]
