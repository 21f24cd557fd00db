"""Losses as metrics: cross-entropies, distances of distributions and margins, averaged over all examples."""

from convia.args import Fraction
from convia.losses.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from convia.losses.margin import categorical_hinge, hinge, squared_hinge
from convia.metrics.base import MeanMetricWrapper

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "Hinge",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "hinge",
    "kl_divergence",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


class BinaryCrossentropy(MeanMetricWrapper, function=binary_crossentropy, direction="down"):
    """Cross-entropy of labels 0 and 1."""

    from_logits: bool = False
    label_smoothing: Fraction = 0


class CategoricalCrossentropy(MeanMetricWrapper, function=categorical_crossentropy, direction="down"):
    """Cross-entropy of one-hot rows."""

    from_logits: bool = False
    label_smoothing: Fraction = 0
    axis: int = -1


class SparseCategoricalCrossentropy(MeanMetricWrapper, function=sparse_categorical_crossentropy, direction="down"):
    """Cross-entropy of class numbers."""

    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1


class KLDivergence(MeanMetricWrapper, function=kl_divergence, direction="down"):
    """Σ y·log(y / ŷ)."""


class Poisson(MeanMetricWrapper, function=poisson, direction="down"):
    """Mean of ŷ − y·log ŷ."""


class Hinge(MeanMetricWrapper, function=hinge, direction="down"):
    """Mean of max(1 − y·ŷ, 0)."""


class SquaredHinge(MeanMetricWrapper, function=squared_hinge, direction="down"):
    """Mean of max(1 − y·ŷ, 0)²."""


class CategoricalHinge(MeanMetricWrapper, function=categorical_hinge, direction="down"):
    """max(max((1 − y)·ŷ) − Σ y·ŷ + 1, 0) of one-hot rows y."""
