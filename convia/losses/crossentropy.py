"""Cross-entropies and other distances between distributions.

Probabilities are divided by their sum and kept in [ε, 1 − ε] before the logarithm, ε = ``config.epsilon()``;
``from_logits=True`` takes unnormalized scores and is more exact. In training, probabilities that come right out of a
softmax or sigmoid bring their scores with them, and these are used, as TensorFlow does.
"""

import warnings
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import torch
from torch.nn import functional

from convia import config
from convia.activations import scores_of
from convia.args import Fraction
from convia.errors import explain
from convia.losses.base import LossFunctionWrapper, Reduction, set_mask
from convia.losses.inputs import check_labels, pair, squeeze_labels, to_tensor

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "kl_divergence",
    "poisson",
    "sparse_categorical_crossentropy",
]

_NO_LABEL = -(2**31)


def _inside(probabilities: torch.Tensor) -> torch.Tensor:
    low = config.epsilon()
    return probabilities.clamp(low, 1.0 - low)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: Fraction = 0.0, axis: int = -1
) -> torch.Tensor:
    """Return the mean of −y·log ŷ − (1 − y)·log(1 − ŷ) over ``axis``; smoothing moves labels towards ½."""
    return _binary(y_true, y_pred, from_logits, label_smoothing, reduction="none").mean(axis)


def _binary(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    reduction: str = "mean",
) -> torch.Tensor:
    scores = None if from_logits else scores_of(y_pred, "sigmoid")
    if scores is not None:
        y_pred, from_logits = scores, True
    true, pred = pair("binary_crossentropy", y_true, y_pred, same_shape=True)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return functional.binary_cross_entropy_with_logits(pred, true, reduction=reduction)
    return functional.binary_cross_entropy(_inside(pred), true, reduction=reduction)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: Fraction = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Return binary cross-entropy × (1 − p_t)^γ, so that easy examples count less (Lin et al. 2017, arXiv:1708.02002).

    ``apply_class_balancing`` weighs the class 1 by α and the class 0 by 1 − α.
    """
    true, pred = pair("binary_focal_crossentropy", y_true, y_pred, same_shape=True)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        pred = pred.sigmoid()
    loss = functional.binary_cross_entropy(_inside(pred), true, reduction="none")
    p_t = true * pred + (1.0 - true) * (1.0 - pred)
    loss = (1.0 - p_t) ** gamma * loss
    if apply_class_balancing:
        loss = (true * alpha + (1.0 - true) * (1.0 - alpha)) * loss
    return loss.mean(axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: Fraction = 0.0, axis: int = -1
) -> torch.Tensor:
    """Return −Σ y·log ŷ over the class axis, y one-hot rows; smoothing moves labels towards 1 / classes.

    Raises:
        ValueError: the shapes of labels and predictions differ.
    """
    return _products(y_true, y_pred, from_logits, label_smoothing, axis).sum(axis).neg()


def _total_categorical(y_true: Any, y_pred: Any, axis: int = -1, **how: Any) -> torch.Tensor:
    products = _products(y_true, y_pred, axis=axis, **how)
    return products.sum() * (-products.shape[axis] / max(products.numel(), 1))


def _products(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    scores = scores_of(y_pred, "softmax") if axis == -1 and not from_logits else None
    if scores is not None:
        y_pred, from_logits = scores, True
    true, pred = _one_hot_pair("categorical_crossentropy", y_true, y_pred, label_smoothing, axis)
    if from_logits:
        return true * pred.log_softmax(axis)
    return true * _inside(pred / pred.sum(axis, keepdim=True)).log()


def _one_hot_pair(
    who: str, y_true: Any, y_pred: Any, label_smoothing: float, axis: int
) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(axis, bool):
        raise ValueError(explain(who, f"axis={axis}", "a whole number"))
    true, pred = pair(who, y_true, y_pred, same_shape=True)
    if pred.shape[-1:] == (1,):
        shape = tuple(pred.shape)
        remedy = "For two classes and one output use binary_crossentropy."
        warnings.warn(
            explain(who, f"y_pred of shape {shape}", "two classes or more", remedy), SyntaxWarning, stacklevel=4
        )
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + label_smoothing / true.shape[-1]
    return true, pred


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: Fraction = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Return −Σ α·(1 − ŷ)^γ·y·log ŷ over the class axis; α is a number or one per class (arXiv:1708.02002)."""
    true, pred = _one_hot_pair("categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis)
    if from_logits:
        pred = pred.softmax(axis)
    probabilities = _inside(pred / pred.sum(axis, keepdim=True))
    if not isinstance(alpha, (int, float)):
        alpha = to_tensor(alpha, pred.dtype, pred)
    loss: torch.Tensor = ((1.0 - probabilities) ** gamma * alpha * -true * probabilities.log()).sum(axis)
    return loss


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> torch.Tensor:
    """Return −log ŷ[y] of class numbers y, shaped like ``y_pred`` without its class axis (or with 1 there).

    Args:
        y_true: class numbers 0 … classes − 1.
        y_pred: probabilities, or scores with ``from_logits``.
        ignore_class: a class number whose places get loss 0 and do not count in means (such as 255 in segmentation).
        axis: the class axis of ``y_pred``.

    Raises:
        ValueError: the shapes do not fit, or a label is out of range.
    """
    loss = _sparse(y_true, y_pred, from_logits, ignore_class, axis, "none")
    if ignore_class is None:
        return loss
    valid = to_tensor(y_true, None, loss) != ignore_class
    return set_mask(loss, valid.reshape(loss.shape))


def _sparse(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    reduction: str = "mean",
) -> torch.Tensor:
    who = "sparse_categorical_crossentropy"
    scores_before = scores_of(y_pred, "softmax") if axis == -1 and not from_logits else None
    if scores_before is not None:
        y_pred, from_logits = scores_before, True
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, torch.long, y_pred)
    if y_true.shape != y_pred.shape[:-1] or axis != -1:
        y_true = squeeze_labels(y_true, y_pred, axis, who)
    scores, shape = y_pred, y_true.shape
    if y_pred.ndim != 2 or axis not in (-1, 1):  # flat, because nll_loss of strided images has no gradient on CPUs
        scores = y_pred.movedim(axis, -1).reshape(-1, y_pred.shape[axis])
        y_true = y_true.reshape(-1)
    ignored = _NO_LABEL if ignore_class is None else ignore_class
    try:
        if from_logits:
            loss = functional.cross_entropy(scores, y_true, ignore_index=ignored, reduction=reduction)
        else:
            logs = _inside(scores / scores.sum(-1, keepdim=True)).log()
            loss = functional.nll_loss(logs, y_true, ignore_index=ignored, reduction=reduction)
    except IndexError:
        check_labels(y_true.reshape(shape), y_pred, ignore_class, axis, who)
        raise
    return loss.reshape(shape) if loss.ndim else loss


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> torch.Tensor:
    """Return (1 − ŷ[y]^q) / q of class numbers y: robust to wrong labels (Zhang & Sabuncu 2018, arXiv:1805.07836)."""
    y_pred = to_tensor(y_pred)
    labels = squeeze_labels(to_tensor(y_true, torch.long, y_pred), y_pred, -1, "categorical_generalized_cross_entropy")
    p = y_pred.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    loss: torch.Tensor = (1.0 - p**q) / q
    return loss


def kl_divergence(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return Σ y·log(y / ŷ) over the last axis, both kept in [ε, 1]."""
    true, pred = pair("kl_divergence", y_true, y_pred)
    low = config.epsilon()
    true, pred = true.clamp(low, 1.0), pred.clamp(low, 1.0)
    return (true * (true / pred).log()).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the mean of ŷ − y·log(ŷ + ε) over the last axis."""
    true, pred = pair("poisson", y_true, y_pred)
    return (pred - true * (pred + config.epsilon()).log()).mean(-1)


class BinaryCrossentropy(LossFunctionWrapper, function=binary_crossentropy, mean=_binary):
    """Cross-entropy of labels 0 and 1, or of several independent ones per example."""

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1


class BinaryFocalCrossentropy(LossFunctionWrapper, function=binary_focal_crossentropy):
    """Binary cross-entropy × (1 − p_t)^γ (arXiv:1708.02002)."""

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1


class CategoricalCrossentropy(LossFunctionWrapper, function=categorical_crossentropy, mean=_total_categorical):
    """Cross-entropy of one-hot rows (or rows of probabilities)."""

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1


class CategoricalFocalCrossentropy(LossFunctionWrapper, function=categorical_focal_crossentropy):
    """Cross-entropy of one-hot rows × α(1 − ŷ)^γ (arXiv:1708.02002)."""

    alpha: Any = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1


class SparseCategoricalCrossentropy(
    LossFunctionWrapper,
    function=sparse_categorical_crossentropy,
    mean=_sparse,
    takes_labels=True,
    check=check_labels,
):
    """Cross-entropy of class numbers."""

    _unsaved: ClassVar[frozenset[str]] = frozenset({"axis"})
    from_logits: bool = False
    ignore_class: int | None = None
    _: KW_ONLY  # for type checkers
    reduction: Reduction = "sum_over_batch_size"
    axis: int = -1


class CategoricalGeneralizedCrossEntropy(
    LossFunctionWrapper, function=categorical_generalized_cross_entropy, takes_labels=True, check=check_labels
):
    """(1 − ŷ[y]^q) / q of class numbers y: between cross-entropy (q → 0) and absolute error (q = 1)."""

    q: float = 0.5


class KLDivergence(LossFunctionWrapper, function=kl_divergence):
    """Σ y·log(y / ŷ)."""


class Poisson(LossFunctionWrapper, function=poisson):
    """Mean of ŷ − y·log ŷ, for counts."""
