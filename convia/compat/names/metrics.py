"""Metrics under older names."""

from typing import Any

from convia import backend as K  # noqa: N812  # its name in all programs
from convia import metrics
from convia.compat.names.losses import SHORT, functions

globals().update(functions(metrics) | SHORT)


def _ones(x: Any) -> Any:
    """1 where a value rounds to 1 or more, else 0."""
    return K.round(K.clip(x, 0, 1))


def precision(y_true: Any, y_pred: Any) -> Any:
    """Of the predictions in this batch that are 1, the share that is right: Keras 1's, as are those that follow."""
    return K.sum(_ones(y_true * y_pred)) / (K.sum(_ones(y_pred)) + K.epsilon())


def recall(y_true: Any, y_pred: Any) -> Any:
    """Of the labels in this batch that are 1, the share that is found."""
    return K.sum(_ones(y_true * y_pred)) / (K.sum(_ones(y_true)) + K.epsilon())


def fbeta_score(y_true: Any, y_pred: Any, beta: float = 1) -> Any:
    """The weighted harmonic mean of both, where recall counts beta times as much."""
    p, r, square = precision(y_true, y_pred), recall(y_true, y_pred), beta**2
    return (1 + square) * (p * r) / (square * p + r + K.epsilon())


def fmeasure(y_true: Any, y_pred: Any) -> Any:
    """The harmonic mean of precision and recall."""
    return fbeta_score(y_true, y_pred, 1)


def matthews_correlation(y_true: Any, y_pred: Any) -> Any:
    """The correlation of labels and predictions, −1 to 1."""
    found, labels = _ones(y_pred), _ones(y_true)
    tp, tn = K.sum(labels * found), K.sum((1 - labels) * (1 - found))
    fp, fn = K.sum((1 - labels) * found), K.sum(labels * (1 - found))
    return (tp * tn - fp * fn) / (K.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) + K.epsilon())


def mean_iou(labels: Any, predictions: Any, num_classes: int, weights: Any = None, **ignored: Any) -> tuple[Any, Any]:
    """TensorFlow 1's mean intersection over union, of this batch: the value, and it again as the update."""
    metric: Any = metrics.MeanIoU(num_classes)
    metric.update_state(labels, predictions, weights)
    return metric.result(), metric.result()


def auc(labels: Any, predictions: Any, weights: Any = None, num_thresholds: int = 200, curve: str = "ROC",
        **ignored: Any) -> tuple[Any, Any]:  # fmt: skip
    """TensorFlow 1's area under a curve, of this batch: the value, and it again as the update."""
    metric = metrics.AUC(num_thresholds, curve)
    metric.update_state(labels, predictions, weights)
    return metric.result(), metric.result()


OF_BATCHES = {function.__name__: function for function in (precision, recall, fbeta_score, fmeasure,
                                                           matthews_correlation)}  # fmt: skip


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


__all__ = ["MeanTensor", "auc", "mean_iou", *OF_BATCHES, *functions(metrics), *SHORT]  # noqa: PLE0604
