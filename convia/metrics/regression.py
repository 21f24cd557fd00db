"""Errors of predicted numbers, the angle between vectors, and R²."""

import warnings
from typing import Annotated, Any, ClassVar

import torch

from convia.args import Convert, one_of, whole
from convia.errors import explain
from convia.losses.base import ComputeDtype
from convia.losses.inputs import both_shapes, match_ranks, pair, to_tensor
from convia.losses.regression import (
    cosine_similarity as cosine_loss,
)
from convia.losses.regression import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from convia.metrics.base import Mean, MeanMetricWrapper, Metric, float_tensor

__all__ = [
    "CosineSimilarity",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "R2Score",
    "RootMeanSquaredError",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
]


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return the cosine of the angle between vectors along ``axis``: 1 is the best."""
    return -cosine_loss(y_true, y_pred, axis)


class MeanSquaredError(MeanMetricWrapper, function=mean_squared_error, direction="down"):
    """Mean of (y − ŷ)²."""


class MeanAbsoluteError(MeanMetricWrapper, function=mean_absolute_error, direction="down"):
    """Mean of |y − ŷ|."""


class MeanAbsolutePercentageError(MeanMetricWrapper, function=mean_absolute_percentage_error, direction="down"):
    """100 × mean of |y − ŷ| / |y|."""


class MeanSquaredLogarithmicError(MeanMetricWrapper, function=mean_squared_logarithmic_error, direction="down"):
    """Mean of (log(1 + y) − log(1 + ŷ))²."""


class LogCoshError(MeanMetricWrapper, function=log_cosh, name="logcosh", direction="down"):
    """Mean of log(cosh(ŷ − y))."""


class CosineSimilarity(MeanMetricWrapper, function=cosine_similarity, direction="up"):
    """Mean cosine of the angle between label and prediction along ``axis``."""

    _unsaved: ClassVar[frozenset[str]] = frozenset({"axis"})
    axis: int = -1


class RootMeanSquaredError(Mean):
    """√ of the mean of (y − ŷ)²."""

    _direction = "down"
    name: str | None = "root_mean_squared_error"
    dtype: ComputeDtype = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch of any shape, with weights (N,) or like the values."""
        y_true, y_pred = pair(str(self.name), y_true, float_tensor(y_pred, self._dtype))
        super().update_state((y_pred - y_true).square(), sample_weight)

    def result(self) -> torch.Tensor:
        """Return the error so far."""
        return super().result().sqrt()


class R2Score(Metric):
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)², the share of variance that is explained; labels and predictions are (N, outputs).

    Args:
        class_aggregation: over several outputs the "uniform_average", the "variance_weighted_average", or None.
        num_regressors: number of independent variables, for the adjusted score; 0 for the plain one.
        name, dtype: see :class:`Metric`.

    Raises:
        ValueError: another aggregation or a negative number.
    """

    _direction = "up"
    class_aggregation: Annotated[str | None, one_of(None, "uniform_average", "variance_weighted_average")] = (
        "uniform_average"
    )
    num_regressors: Annotated[int, Convert(lambda value, owner, name: whole(value, owner, name, 0))] = 0
    name: str | None = "r2_score"
    dtype: ComputeDtype = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.num_samples = self.add_variable((), None, name="num_samples")
        self._built = False

    def _build(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
        if y_true.ndim != 2 or y_pred.ndim != 2:
            raise ValueError(explain("R2Score", both_shapes(y_true, y_pred), "two axes, (N, outputs)"))
        names = ("squared_sum", "sum", "residual", "count")
        states = [self.add_variable(y_pred.shape[1:], None, name=name) for name in names]
        self.squared_sum, self.sum, self.total_mse, self.count = states
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch (N, outputs), with weights (N,) or like the labels."""
        y_pred = float_tensor(y_pred, self._dtype)
        y_true, y_pred = match_ranks(to_tensor(y_true, self._dtype, y_pred), y_pred)
        if not self._built:
            self._build(y_true, y_pred)
        y_true, y_pred = pair("R2Score", y_true, y_pred, same_shape=True)
        weight = to_tensor(1 if sample_weight is None else sample_weight, self._dtype, y_pred)
        weight = (weight.unsqueeze(1) if weight.ndim == 1 else weight).expand(y_true.shape)
        self._add(self.sum, (y_true * weight).sum(0))
        self._add(self.squared_sum, (y_true * (y_true * weight)).sum(0))
        self._add(self.total_mse, ((y_true - y_pred) ** 2 * weight).sum(0))
        self._add(self.count, weight.sum(0))
        self.num_samples.add_(y_true.numel())

    def result(self) -> torch.Tensor:
        """Return the score so far, or the scores of all outputs."""
        total = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1 - self.total_mse / total
        scores = torch.where(scores.isinf(), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        return self._adjust(scores) if self.num_regressors else scores

    def _adjust(self, score: torch.Tensor) -> torch.Tensor:
        free = float(self.num_samples) - self.num_regressors - 1
        if free > 0:
            return 1.0 - (1.0 - score) * (self.num_samples - 1.0) / free
        received = f"{float(self.num_samples):g} values for {self.num_regressors} regressors"
        warnings.warn(explain("R2Score", received, "more values", "The plain score is returned."), stacklevel=3)
        return score
