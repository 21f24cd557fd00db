"""``tf.losses`` of TensorFlow 1: means over all elements, which are collected for ``get_total_loss``."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from convia.compat.tensorflow.door import api, given, tracing
from convia.compat.tensorflow.math import MATH
from convia.compat.tensorflow.v1_scopes import GraphKeys, add_to_collection, get_collection

Reduction = SimpleNamespace(
    NONE="none",
    SUM="weighted_sum",
    SUM_OVER_BATCH_SIZE="weighted_sum_over_batch_size",
    SUM_OVER_NONZERO_WEIGHTS="weighted_sum_by_nonzero_weights",
    SUM_BY_NONZERO_WEIGHTS="weighted_sum_by_nonzero_weights",
    MEAN="weighted_mean",
)


@api
def _reduced(losses: Any, weights: Any, reduction: str) -> Any:
    """Weigh losses and reduce them, by default to the mean over those with a weight that is not 0."""
    losses = given(losses)
    shares = given(weights, losses.dtype)
    while 0 < shares.ndim < losses.ndim:
        shares = shares.unsqueeze(-1)
    shares = shares.expand_as(losses)
    weighted = losses * shares
    if reduction == Reduction.NONE:
        return weighted
    counts = {
        Reduction.SUM: 1,
        Reduction.SUM_OVER_BATCH_SIZE: losses.numel(),
        Reduction.MEAN: shares.sum(),
        Reduction.SUM_BY_NONZERO_WEIGHTS: (shares != 0).sum() if not tracing() else 1,
    }
    count = torch.as_tensor(counts[reduction], device=weighted.device)
    return weighted.sum() / count.clamp(min=1e-12)


def compute_weighted_loss(losses: Any, weights: Any = 1.0, scope: Any = None, loss_collection: Any = GraphKeys.LOSSES,
                          reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """Weigh losses, reduce them and collect the result."""
    found = _reduced(losses, weights, reduction)
    if loss_collection:
        add_to_collection(loss_collection, found)
    return found


def _loss(function: Callable[..., Any], first: str, second: str) -> Callable[..., Any]:
    """Make a loss of a function of two tensors, whose arguments have these names, and its own options."""
    made = api(function)

    def loss(*args: Any, weights: Any = 1.0, scope: Any = None, loss_collection: Any = GraphKeys.LOSSES,
             reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS, **options: Any) -> Any:  # fmt: skip
        named = dict(zip((first, second, "weights"), args, strict=False)) | options
        x, y = named.pop(first), named.pop(second)
        weights = named.pop("weights", weights)
        return compute_weighted_loss(made(x, y, **named), weights, scope, loss_collection, reduction)

    loss.__doc__ = function.__doc__
    return loss


def _sparse(labels: Any, logits: Any) -> Any:
    """Cross-entropy of classes, as numbers, with scores (…, classes)."""
    logits, classes = given(logits), given(labels).long()
    classes = classes.squeeze(-1) if classes.ndim == logits.ndim else classes
    return F.cross_entropy(logits.movedim(-1, 1) if logits.ndim > 1 else logits, classes, reduction="none")


def _softmax(onehot_labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of shares (…, classes) with scores."""
    logits = given(logits)
    shares = given(onehot_labels, logits.dtype)
    shares = shares * (1 - label_smoothing) + label_smoothing / shares.shape[-1]
    return -(shares * logits.log_softmax(-1)).sum(-1)


def _sigmoid(multi_class_labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of probabilities with scores, each class by itself."""
    logits = given(logits)
    labels = given(multi_class_labels, logits.dtype) * (1 - label_smoothing) + 0.5 * label_smoothing
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def _pair(labels: Any, predictions: Any) -> tuple[Any, Any]:
    predictions = given(predictions)
    return given(labels, predictions.dtype), predictions


def _squared(labels: Any, predictions: Any) -> Any:
    """The square of the difference."""
    labels, predictions = _pair(labels, predictions)
    return (predictions - labels) ** 2


def _absolute(labels: Any, predictions: Any) -> Any:
    """The absolute difference."""
    labels, predictions = _pair(labels, predictions)
    return (predictions - labels).abs()


def _log(labels: Any, predictions: Any, epsilon: float = 1e-7) -> Any:
    """Cross-entropy of probabilities."""
    labels, predictions = _pair(labels, predictions)
    return -labels * (predictions + epsilon).log() - (1 - labels) * (1 - predictions + epsilon).log()


def _huber(labels: Any, predictions: Any, delta: float = 1.0) -> Any:
    """Half the square of the difference, linear beyond delta."""
    labels, predictions = _pair(labels, predictions)
    return F.huber_loss(predictions, labels, reduction="none", delta=delta)


def _hinge(labels: Any, logits: Any) -> Any:
    """max(0, 1 − y·score) of labels 0 and 1."""
    labels, logits = _pair(labels, logits)
    return (1 - (2 * labels - 1) * logits).clamp(min=0)


def get_losses(scope: str | None = None, loss_collection: str = GraphKeys.LOSSES) -> list[Any]:
    """Return the losses that were collected."""
    return get_collection(loss_collection)


def get_regularization_losses(scope: str | None = None) -> list[Any]:
    """Return the penalties that were collected."""
    return get_collection(GraphKeys.REGULARIZATION_LOSSES)


def _sum(items: list[Any]) -> Any:
    return MATH["add_n"](items) if items else torch.zeros(())


def get_regularization_loss(scope: str | None = None, name: str | None = None) -> Any:
    """Return the sum of the penalties."""
    return _sum(get_regularization_losses())


def get_total_loss(add_regularization_losses: bool = True, name: str | None = None, scope: str | None = None) -> Any:
    """Return the sum of what was collected, penalties included."""
    return _sum([*get_losses(), *(get_regularization_losses() if add_regularization_losses else ())])


LOSSES: dict[str, Any] = {
    "absolute_difference": _loss(_absolute, "labels", "predictions"),
    "add_loss": lambda loss, loss_collection=GraphKeys.LOSSES: add_to_collection(loss_collection, loss),
    "compute_weighted_loss": compute_weighted_loss,
    "get_losses": get_losses,
    "get_regularization_loss": get_regularization_loss,
    "get_regularization_losses": get_regularization_losses,
    "get_total_loss": get_total_loss,
    "hinge_loss": _loss(_hinge, "labels", "logits"),
    "huber_loss": _loss(_huber, "labels", "predictions"),
    "log_loss": _loss(_log, "labels", "predictions"),
    "mean_squared_error": _loss(_squared, "labels", "predictions"),
    "sigmoid_cross_entropy": _loss(_sigmoid, "multi_class_labels", "logits"),
    "softmax_cross_entropy": _loss(_softmax, "onehot_labels", "logits"),
    "sparse_softmax_cross_entropy": _loss(_sparse, "labels", "logits"),
}
__all__ = ["LOSSES", "Reduction", "compute_weighted_loss", "get_total_loss"]
