"""F-scores: precision and recall in one number."""

from typing import TYPE_CHECKING, Annotated, Any

import torch

from convia import config
from convia.args import Convert, one_of
from convia.errors import explain
from convia.losses.base import ComputeDtype
from convia.losses.inputs import both_shapes, to_tensor
from convia.metrics.base import Metric, float_tensor

__all__ = ["F1Score", "FBetaScore"]

_STATES = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


def _number(low: float, high: float, text: str) -> Convert:
    def check(value: Any, owner: Any, name: str) -> float:
        if not isinstance(value, float) or not low < value <= high:
            raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), text))
        return value

    return Convert(check)


def _threshold(value: Any, owner: Any, name: str) -> float | None:
    check = _number(0.0, 1.0, "None or a float above 0 and up to 1")
    return None if value is None else check.function(value, owner, name)


Average = Annotated[str | None, one_of(None, "micro", "macro", "weighted")]
Threshold = Annotated[float | None, Convert(_threshold)]


class FBetaScore(Metric):
    """(1 + β²)·precision·recall / (β²·precision + recall); labels and predictions are (N, classes).

    Args:
        average: over classes: "micro" counts all together, "macro" averages, "weighted" by number of labels, None not.
        beta: how much more recall counts than precision.
        threshold: predictions above it are positive; without it the largest of each row is.
        name, dtype: see :class:`Metric`.

    Raises:
        ValueError: another average, beta ≤ 0, or a threshold outside (0, 1].
    """

    _direction = "up"
    average: Average = None
    beta: Annotated[float, _number(0.0, float("inf"), "a float above 0")] = 1.0
    threshold: Threshold = None
    name: str | None = "fbeta_score"
    dtype: ComputeDtype = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._built = False

    def _build(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            received = both_shapes(y_true, y_pred)
            remedy = "Turn class numbers into one-hot rows with to_categorical."
            raise ValueError(explain(type(self).__name__, received, "two equal shapes (N, classes)", remedy))
        shape = () if self.average == "micro" else tuple(y_pred.shape[1:])
        for name in _STATES:
            setattr(self, name, self.add_variable(shape, None, self.dtype, name=name))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch (N, classes), with weights (N,)."""
        y_pred = float_tensor(y_pred, self._dtype)
        y_true = to_tensor(y_true, self._dtype, y_pred)
        if not self._built:
            self._build(y_true, y_pred)
        if self.threshold is None:
            chosen = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            chosen = y_pred > self.threshold
        chosen = chosen.to(self._dtype)
        weight = 1.0 if sample_weight is None else to_tensor(sample_weight, self._dtype, y_pred).unsqueeze(1)
        axes = (0, 1) if self.average == "micro" else (0,)
        counts = (chosen * y_true, chosen * (1 - y_true), (1 - chosen) * y_true, y_true)
        for name, count in zip(_STATES, counts, strict=True):
            self._add(getattr(self, name), (count * weight).sum(axes))

    def result(self) -> torch.Tensor:
        """Return the score so far, (classes,) without an average."""
        tp, fp, fn, support = (getattr(self, name) for name in _STATES)
        low = config.epsilon()
        precision, recall = tp / (tp + fp + low), tp / (tp + fn + low)
        score = precision * recall / (self.beta**2 * precision + recall + low) * (1 + self.beta**2)
        if self.average == "weighted":
            weighted: torch.Tensor = (score * (support / (support.sum() + low))).sum()
            return weighted
        scores: torch.Tensor = score.mean() if self.average else score
        return scores


class F1Score(FBetaScore):
    """2·precision·recall / (precision + recall), see :class:`FBetaScore`."""

    beta = 1.0
    average: Average = None
    threshold: Threshold = None
    name: str | None = "f1_score"
    dtype: ComputeDtype = None

    if TYPE_CHECKING:

        def __init__(
            self,
            average: str | None = None,
            threshold: float | None = None,
            name: str | None = "f1_score",
            dtype: Any = None,
        ) -> None: ...
