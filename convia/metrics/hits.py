"""How often predictions are right."""

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from convia import config
from convia.args import PositiveInt
from convia.errors import explain
from convia.losses.base import ComputeDtype
from convia.losses.inputs import both_shapes, match_ranks, pair, squeeze_labels, to_tensor
from convia.metrics.base import MeanMetricWrapper

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


def _as_float(matches: torch.Tensor) -> torch.Tensor:
    return matches.to(config.torch_dtype(config.floatx()))


def _class_of(row: torch.Tensor) -> torch.Tensor:
    """Return where the largest entry of one-hot rows is, which may be of true and false."""
    return (row.byte() if row.dtype is torch.bool else row).argmax(-1)


def accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where label and prediction are equal, else 0."""
    y_pred = to_tensor(y_pred)
    y_true, y_pred = match_ranks(to_tensor(y_true, y_pred.dtype, y_pred), y_pred)
    return _as_float(y_true == y_pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    """Return 1 where the label is 1 and the prediction above the threshold, or the label 0 and it is not."""
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return _as_float(y_true == (y_pred > threshold))


def categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where the largest score (N, …, classes) is at the largest entry of the one-hot row, else 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, None, y_pred)
    if y_true.ndim == 0 or y_true.shape[:-1] != y_pred.shape[:-1]:
        received = both_shapes(y_true, y_pred)
        remedy = "For class numbers use sparse_categorical_accuracy."
        raise ValueError(explain("categorical_accuracy", received, "one-hot rows like the predictions", remedy))
    return _as_float(_class_of(y_true) == y_pred.argmax(-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where the largest score (N, …, classes) is that of the class number (N, …) or (N, …, 1), else 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, None, y_pred)
    if y_true.shape != y_pred.shape[:-1]:
        y_true = squeeze_labels(y_true, y_pred, -1, "sparse_categorical_accuracy")
    matches = _as_float(y_true == y_pred.argmax(-1))
    return matches.squeeze(-1) if matches.ndim > 1 and matches.shape[-1] == 1 else matches


def _in_top_k(labels: torch.Tensor, scores: torch.Tensor, k: int) -> torch.Tensor:
    least = scores.topk(min(k, scores.shape[-1])).values[..., -1]
    return scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1) >= least


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    """Return 1 where the class of the one-hot row is among the k largest scores, else 0."""
    y_pred = to_tensor(y_pred)
    return _as_float(_in_top_k(_class_of(to_tensor(y_true, None, y_pred)), y_pred, k))


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> torch.Tensor:
    """Return 1 where the class number is among the k largest scores, else 0.

    With ``from_sorted_ids`` the predictions are class numbers, the best first.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype if from_sorted_ids else torch.long, y_pred)
    labels = squeeze_labels(y_true, y_pred, -1, "sparse_top_k_categorical_accuracy")
    if not from_sorted_ids:
        return _as_float(_in_top_k(labels, y_pred, k)).reshape(y_true.shape)
    return _as_float((labels.unsqueeze(-1) == y_pred[..., :k]).any(-1)).reshape(y_true.shape)


class Accuracy(MeanMetricWrapper, function=accuracy, direction="up"):
    """How often labels and predictions are equal."""


class BinaryAccuracy(MeanMetricWrapper, function=binary_accuracy, direction="up"):
    """How often predictions are on the label's side of ``threshold``."""

    threshold: float = 0.5


class CategoricalAccuracy(MeanMetricWrapper, function=categorical_accuracy, direction="up"):
    """How often the largest score is that of the one-hot row."""


class SparseCategoricalAccuracy(MeanMetricWrapper, function=sparse_categorical_accuracy, direction="up"):
    """How often the largest score is that of the class number."""


class TopKCategoricalAccuracy(MeanMetricWrapper, function=top_k_categorical_accuracy, direction="up"):
    """How often the class of the one-hot row is among the k largest scores."""

    k: PositiveInt = 5
    name: str | None = "top_k_categorical_accuracy"
    dtype: ComputeDtype = None

    if TYPE_CHECKING:

        def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None: ...


class SparseTopKCategoricalAccuracy(MeanMetricWrapper, function=sparse_top_k_categorical_accuracy, direction="up"):
    """How often the class number is among the k largest scores."""

    _unsaved: ClassVar[frozenset[str]] = frozenset({"from_sorted_ids"})
    k: PositiveInt = 5
    name: str | None = "sparse_top_k_categorical_accuracy"
    dtype: ComputeDtype = None
    from_sorted_ids: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            k: int = 5,
            name: str | None = "sparse_top_k_categorical_accuracy",
            dtype: Any = None,
            from_sorted_ids: bool = False,
        ) -> None: ...
