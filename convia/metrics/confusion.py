"""Counts of right and wrong positives and negatives over thresholds, and what is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from convia import config
from convia.args import Fraction, PositiveInt
from convia.errors import explain
from convia.losses.base import ComputeDtype, ratio, weight_message
from convia.losses.inputs import both_shapes, match_ranks, to_tensor
from convia.metrics.base import Metric, add_fields_first, float_tensor

__all__ = [
    "FalseNegatives",
    "FalsePositives",
    "Precision",
    "PrecisionAtRecall",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
    "TrueNegatives",
    "TruePositives",
]

STATES = {"tp": "true_positives", "fp": "false_positives", "tn": "true_negatives", "fn": "false_negatives"}
NEVER = -1e10  # the score of what is not among the top k


def is_even(thresholds: Sequence[float]) -> bool:
    """Whether thresholds run evenly from 0 to 1, so that a score's place among them is a multiplication."""
    even = np.linspace(0.0, 1.0, len(thresholds))
    return len(thresholds) > 2 and bool(np.allclose(thresholds, even, atol=config.epsilon()))


def even_thresholds(count: int) -> list[float]:
    """Return ``count`` thresholds from 0 to 1, ½ for one."""
    return [0.5] if count == 1 else [0.0, *(i / (count - 1) for i in range(1, count - 1)), 1.0]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds and how scores are compared with them."""

    values: list[float]
    even: bool

    def counts(
        self, cells: Sequence[str], y_true: torch.Tensor, y_pred: torch.Tensor, weight: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the wanted cells ("tp", "fp", "tn", "fn") of (M, labels), each (thresholds, labels)."""
        positive = torch.where(y_true != 0, weight, 0.0)
        negative = torch.where(y_true != 0, 0.0, weight)
        if self.even:
            return self._bucket_counts(cells, positive, negative, y_pred)
        limits = torch.tensor(self.values, dtype=y_pred.dtype, device=y_pred.device)
        above = y_pred > limits[:, None, None]  # (thresholds, M, labels)
        kinds = {"tp": (above, positive), "fp": (above, negative), "tn": (~above, negative), "fn": (~above, positive)}
        return {cell: (kinds[cell][0] * kinds[cell][1]).sum(1) for cell in cells}

    def _bucket_counts(
        self, cells: Sequence[str], positive: torch.Tensor, negative: torch.Tensor, y_pred: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Sort scores into buckets between thresholds and sum up from the top: O(M + thresholds), not O(M·thresholds).

        A score of exactly 0 is above no threshold, unless the first is below 0.
        """
        size = len(self.values)
        lowest = 0 if self.values[0] < 0 or self.values[-1] > 1 else -1
        bucket = ((y_pred.clamp(0.0, 1.0) * (size - 1)).ceil() - 1).long().clamp(min=lowest) + 1

        def above(weights: torch.Tensor) -> torch.Tensor:
            sums = weights.new_zeros(size + 1, weights.shape[1]).scatter_add_(0, bucket, weights)
            return sums[1:].flip(0).cumsum(0).flip(0)

        found = {"tp": above(positive), "fp": above(negative)}
        if "tn" in cells:
            found["tn"] = negative.sum(0) - found["fp"]
        if "fn" in cells:
            found["fn"] = positive.sum(0) - found["tp"]
        return {cell: found[cell] for cell in cells}


def parse_thresholds(given: Any, default: float, who: str) -> Thresholds:
    """Return the thresholds of one number, a list, or None.

    Raises:
        ValueError: one is outside [0, 1].
    """
    values = [default] if given is None else list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    wrong = [value for value in values if given is not None and (value is None or not 0 <= value <= 1)]
    if wrong:
        raise ValueError(explain(f"{who}, argument 'thresholds'", wrong, "numbers from 0 to 1"))
    return Thresholds(values, is_even(values))


def _keep_top_k(scores: torch.Tensor, k: int) -> torch.Tensor:
    chosen = scores.topk(k).indices
    return torch.full_like(scores, NEVER).scatter(-1, chosen, scores.gather(-1, chosen))


class _Confusion(Metric):
    """State: cells of the confusion matrix, one entry per threshold."""

    _cells: ClassVar[tuple[str, ...]] = ("tp", "fp", "tn", "fn")
    _names: ClassVar[dict[str, str]] = STATES  # cell → attribute
    _thresholds = Thresholds([0.5], even=False)

    def _make_state(self, *shape: int) -> None:
        for cell in self._cells:
            name = self._names[cell]
            setattr(self, name, self.add_variable(shape or (len(self._thresholds.values),), None, name=name))

    def _states(self) -> list[Any]:
        return [getattr(self, self._names[cell]) for cell in self._cells]

    def _rate(self, part: str, other: str) -> torch.Tensor:
        """Return part / (part + other), 0 where both are 0."""
        one, two = getattr(self, self._names[part]), getattr(self, self._names[other])
        return ratio(one, one + two)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of any shape; labels other than 0 are positive; weights are (N,) or like the values."""
        self._count(y_true, y_pred, sample_weight)

    def _count(
        self, y_true: Any, y_pred: Any, sample_weight: Any, label_weights: Any = None, multi_label: bool = False
    ) -> None:
        dtype = self._states()[0].dtype
        y_pred = float_tensor(y_pred, dtype)
        y_true, y_pred = match_ranks(to_tensor(y_true, dtype, y_pred), y_pred)
        if y_true.shape != y_pred.shape:
            remedy = "For class numbers and several outputs, turn them into one-hot rows with to_categorical."
            raise ValueError(explain(type(self).__name__, both_shapes(y_true, y_pred), "two equal shapes", remedy))
        y_true, y_pred = self._select(y_true, y_pred)
        weight = y_pred.new_ones(())
        if sample_weight is not None:
            given = to_tensor(sample_weight, dtype, y_pred).unsqueeze(-1)
            weight = match_ranks(y_true, given, expand_vectors=False)[1]
        if label_weights is not None:
            weight = weight * label_weights.to(y_pred)
        weight = self._expand(weight, y_pred)
        columns = y_pred.shape[-1] if multi_label else 1
        flat = (x.reshape(-1, columns) for x in (y_true, y_pred, weight))
        for cell, count in self._thresholds.counts(self._cells, *flat).items():
            self._add(getattr(self, self._names[cell]), count if multi_label else count[:, 0])

    def _select(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        top_k, class_id = getattr(self, "top_k", None), getattr(self, "class_id", None)
        if top_k is not None:
            y_pred = _keep_top_k(y_pred, top_k)
        if class_id is None:
            return y_true, y_pred
        if y_pred.ndim == 1:
            who = f"{type(self).__name__} with class_id={class_id}"
            raise ValueError(explain(who, f"y_pred of shape {tuple(y_pred.shape)}", "shape (N, classes)"))
        return y_true[..., class_id, None], y_pred[..., class_id, None]

    def _expand(self, weight: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        try:
            return weight.expand(y_pred.shape)
        except RuntimeError:
            raise ValueError(weight_message(type(self).__name__, weight, y_pred, "predictions")) from None


class _Thresholded(_Confusion):
    """Metrics whose thresholds the user may give; several give one result each."""

    thresholds: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.init_thresholds = self.thresholds
        default = 0.5 if getattr(self, "top_k", None) is None else NEVER
        self._thresholds = parse_thresholds(self.thresholds, default, type(self).__name__)
        self.thresholds = self._thresholds.values
        self._make_state()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        return {**super().get_config(), "thresholds": self.init_thresholds}

    def _one_or_all(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if len(self._thresholds.values) == 1 else values


class _ConditionCount(_Thresholded):
    thresholds: Any = None
    name: str | None = None
    dtype: ComputeDtype = None

    _names = dict.fromkeys(STATES, "accumulator")

    def result(self) -> torch.Tensor:
        """Return the count so far, or one for each threshold."""
        return self._one_or_all(self._states()[0].detach().clone())


class TruePositives(_ConditionCount):
    """Number of positive labels with a score above the threshold (½ without one)."""

    _cells = ("tp",)


class FalsePositives(_ConditionCount):
    """Number of negative labels with a score above the threshold (½ without one)."""

    _cells = ("fp",)


class TrueNegatives(_ConditionCount):
    """Number of negative labels with a score of at most the threshold (½ without one)."""

    _cells = ("tn",)


class FalseNegatives(_ConditionCount):
    """Number of positive labels with a score of at most the threshold (½ without one)."""

    _cells = ("fn",)


class Precision(_Thresholded):
    """Share of positives among what was predicted positive: tp / (tp + fp).

    Args:
        thresholds: scores above it count as positive, ½ without one; a list gives one result each.
        top_k: only the k largest scores of each row may be positive; then any score is, without thresholds.
        class_id: the only class that is counted, of (N, classes).
        name, dtype: see :class:`Metric`.

    Raises:
        ValueError: a threshold outside [0, 1].
    """

    _direction = "up"
    _cells = ("tp", "fp")
    thresholds: Any = None
    top_k: int | None = None
    class_id: int | None = None
    name: str | None = None
    dtype: ComputeDtype = None

    def result(self) -> torch.Tensor:
        """Return the precision so far, or one for each threshold."""
        return self._one_or_all(self._rate("tp", "fp"))


class Recall(Precision):
    """Share of what was predicted positive among positives: tp / (tp + fn). Arguments as in :class:`Precision`."""

    _cells = ("tp", "fn")

    def result(self) -> torch.Tensor:
        """Return the recall so far, or one for each threshold."""
        return self._one_or_all(self._rate("tp", "fn"))


_RATES = {  # rate → the cells of part / (part + other)
    "precision": ("tp", "fp"),
    "recall": ("tp", "fn"),
    "sensitivity": ("tp", "fn"),
    "specificity": ("tn", "fp"),
}


class _BestRate(_Confusion):
    """The best of one rate over all thresholds at which another, the first argument, is at least a value."""

    _direction = "up"
    _best: ClassVar[str]
    _at: ClassVar[str]
    num_thresholds = 200

    def __init_subclass__(cls, best: str, at: str, **kwargs: Any) -> None:
        cls._best, cls._at = best, at
        add_fields_first(
            cls,
            **{at: (Fraction, Parameter.empty)},
            num_thresholds=(PositiveInt, 200),
            class_id=(int | None, None),
            name=(str | None, None),
            dtype=(ComputeDtype, None),
        )
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.value = getattr(self, self._at)
        self.thresholds = even_thresholds(self.num_thresholds)
        self._thresholds = Thresholds(self.thresholds, self.num_thresholds > 1)
        self._make_state()

    def result(self) -> torch.Tensor:
        """Return the best rate so far, 0 if no threshold reaches the value."""
        reached = self._rate(*_RATES[self._at]) >= self.value
        return torch.where(reached, self._rate(*_RATES[self._best]), 0.0).max()


class SensitivityAtSpecificity(_BestRate, best="sensitivity", at="specificity"):
    """Best tp / (tp + fn) where tn / (tn + fp) is at least ``specificity``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            specificity: float,
            num_thresholds: int = 200,
            class_id: int | None = None,
            name: str | None = None,
            dtype: Any = None,
        ) -> None: ...


class SpecificityAtSensitivity(_BestRate, best="specificity", at="sensitivity"):
    """Best tn / (tn + fp) where tp / (tp + fn) is at least ``sensitivity``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            sensitivity: float,
            num_thresholds: int = 200,
            class_id: int | None = None,
            name: str | None = None,
            dtype: Any = None,
        ) -> None: ...


class PrecisionAtRecall(_BestRate, best="precision", at="recall"):
    """Best tp / (tp + fp) where tp / (tp + fn) is at least ``recall``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            recall: float,
            num_thresholds: int = 200,
            class_id: int | None = None,
            name: str | None = None,
            dtype: Any = None,
        ) -> None: ...


class RecallAtPrecision(_BestRate, best="recall", at="precision"):
    """Best tp / (tp + fn) where tp / (tp + fp) is at least ``precision``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            precision: float,
            num_thresholds: int = 200,
            class_id: int | None = None,
            name: str | None = None,
            dtype: Any = None,
        ) -> None: ...
