"""Metrics: what is reported during training, as classes, functions and names ("accuracy", "mae", "auc", …)."""

from collections.abc import Mapping
from typing import Any

from convia import registry
from convia.errors import explain
from convia.losses import binary_focal_crossentropy, categorical_focal_crossentropy, huber, task
from convia.metrics import auc, base, confusion, correlation, fscore, hits, iou, probabilistic, regression
from convia.metrics.auc import *
from convia.metrics.base import *
from convia.metrics.confusion import *
from convia.metrics.correlation import *
from convia.metrics.fscore import *
from convia.metrics.hits import *
from convia.metrics.iou import *
from convia.metrics.probabilistic import *
from convia.metrics.regression import *
from convia.naming import snake_case

__all__ = ["binary_focal_crossentropy", "categorical_focal_crossentropy", "huber"]
__all__ += ["deserialize", "get", "resolve", "serialize"]
for _module in (auc, base, confusion, correlation, fscore, hits, iou, probabilistic, regression):
    __all__ += _module.__all__

for _class, _short in (
    (BinaryCrossentropy, "bce"),
    (MeanAbsoluteError, "mae"),
    (MeanAbsolutePercentageError, "mape"),
    (MeanSquaredError, "mse"),
    (MeanSquaredLogarithmicError, "msle"),
):
    registry.register("keras.metrics", _class, _short, _short.upper())

_BY_TASK: dict[str, dict[str, Any]] = {
    "accuracy": {
        "binary": BinaryAccuracy,
        "sparse_categorical": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    },
    "crossentropy": {
        "binary": BinaryCrossentropy,
        "sparse_categorical": SparseCategoricalCrossentropy,
        "categorical": CategoricalCrossentropy,
    },
}
_GENERAL = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "crossentropy", "ce": "crossentropy"}


def get(identifier: Any) -> Any:
    """Return the metric of a name, config, class, function or instance: a :class:`Metric` or function; None of None."""
    return registry.find("keras.metrics", identifier, "metrics.get")


def serialize(metric: Any) -> Any:
    """Return the config of a metric, the name of a function of the library."""
    return registry.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the metric of what ``serialize`` returned."""
    return registry.deserialize(config, custom_objects, "keras.metrics")


def resolve(identifier: Any, y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> Metric:
    """Return the :class:`Metric` that ``compile(metrics=[identifier])`` means for an output.

    "accuracy" and "acc", "crossentropy" and "ce" are binary, sparse or categorical by the shapes. A name stays the
    metric's name. A function (y_true, y_pred) → values is averaged.

    Raises:
        ValueError: an unknown name, or None.
    """
    if identifier is None:
        raise ValueError(explain("compile, argument 'metrics'", None, "a metric, its name or a function"))
    general = _GENERAL.get(identifier.lower()) if isinstance(identifier, str) else None
    if general:
        chosen: Metric = _BY_TASK[general][task(y_true_shape, y_pred_shape)](name=identifier)
        return chosen
    metric = get(identifier)
    name = identifier if isinstance(identifier, str) else getattr(metric, "name", None)
    name = name or snake_case(getattr(metric, "__name__", type(metric).__name__))
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, name=name)
    metric.name = name
    return metric
