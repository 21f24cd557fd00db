"""Metrics: what is reported during training, as classes, functions and names ("accuracy", "mae", "auc", …)."""

from collections.abc import Mapping
from typing import Any

from convia import registry
from convia.errors import explain
from convia.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    task,
)
from convia.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from convia.metrics.auc import AUC
from convia.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from convia.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from convia.metrics.correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from convia.metrics.fscore import F1Score, FBetaScore
from convia.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from convia.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from convia.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
    cosine_similarity,
)
from convia.naming import snake_case

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "resolve",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

for _class, _short in (
    (BinaryCrossentropy, "bce"),
    (MeanAbsoluteError, "mae"),
    (MeanAbsolutePercentageError, "mape"),
    (MeanSquaredError, "mse"),
    (MeanSquaredLogarithmicError, "msle"),
):
    registry.register("keras.metrics", _class, _short, _short.upper())

for _function in (
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    cosine_similarity,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
):
    registry.register("keras.metrics.functions", _function)

_BY_TASK = {
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
        return _BY_TASK[general][task(y_true_shape, y_pred_shape)](name=identifier)
    metric = get(identifier)
    name = identifier if isinstance(identifier, str) else getattr(metric, "name", None)
    name = name or snake_case(getattr(metric, "__name__", type(metric).__name__))
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, name=name)
    metric.name = name
    return metric
