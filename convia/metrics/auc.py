"""Area under a curve of two rates over all thresholds."""

from typing import Annotated, Any

import torch

from convia import config, registry
from convia.args import Convert
from convia.errors import explain
from convia.losses.base import ComputeDtype, ratio
from convia.losses.inputs import shape_of, to_tensor
from convia.metrics.base import Metric
from convia.metrics.confusion import Thresholds, _Confusion, even_thresholds, is_even

__all__ = ["AUC"]


def _choice(*allowed: str) -> Convert:
    def convert(value: Any, owner: Any, name: str) -> str:
        text = str(getattr(value, "value", value))
        found = {choice.lower(): choice for choice in allowed}.get(text.lower())
        if found is None:
            raise ValueError(explain(f"AUC, argument {name!r}", repr(value), f"one of {list(allowed)}"))
        return found

    return Convert(convert)


class AUC(_Confusion):
    """Area under the ROC, precision-recall or precision-recall-gain curve, by a Riemann sum over thresholds.

    Args:
        num_thresholds: how many, from 0 to 1.
        curve: "ROC" (recall over false positive rate), "PR" (precision over recall), "PRGAIN" (Flach & Kull 2015).
        summation_method: height of a step: "interpolation" (the mean of its ends; for PR the formula of Davis &
            Goadrich 2006), "minoring" (the lower end) or "majoring" (the upper end).
        name, dtype: see :class:`Metric`.
        thresholds: own thresholds between 0 and 1, instead of ``num_thresholds``.
        multi_label: (N, labels) are separate problems; their areas are averaged.
        num_labels: number of labels, found from the first batch without it.
        label_weights: weights of labels in the average (multi_label) or of their examples (otherwise).
        from_logits: apply the sigmoid to predictions.

    Raises:
        ValueError: another curve or method, too few thresholds, or num_labels without multi_label.
    """

    _direction = "up"
    num_thresholds: int = 200
    curve: Annotated[str, _choice("ROC", "PR", "PRGAIN")] = "ROC"
    summation_method: Annotated[str, _choice("interpolation", "majoring", "minoring")] = "interpolation"
    name: str | None = None
    dtype: ComputeDtype = None
    thresholds: Any = None
    multi_label: bool = False
    num_labels: int | None = None
    label_weights: Any = None
    from_logits: bool = False

    def __post_init__(self) -> None:
        Metric.__post_init__(self)
        if self.num_labels and not self.multi_label:
            remedy = "Pass multi_label=True, or leave num_labels out."
            raise ValueError(explain("AUC", f"num_labels={self.num_labels}", "multi_label=True with it", remedy))
        self._own_thresholds = self.thresholds is not None
        values = self._inner_thresholds()
        self.num_thresholds = len(values)
        margin = config.epsilon()
        self.thresholds = [0.0 - margin, *values[1:-1], 1.0 + margin]
        self._thresholds = Thresholds(self.thresholds, not self._own_thresholds or is_even(values))
        if self.label_weights is not None:
            self.label_weights = to_tensor(self.label_weights, self._dtype)
        self._built = False
        if not self.multi_label:
            self._build()
        elif self.num_labels:
            self._build(self.num_labels)

    def _inner_thresholds(self) -> list[float]:
        if self._own_thresholds:
            return [0.0, *sorted(self.thresholds), 1.0]
        if self.num_thresholds <= 1:
            raise ValueError(explain("AUC, argument 'num_thresholds'", self.num_thresholds, "a whole number > 1"))
        return even_thresholds(self.num_thresholds)

    def _build(self, *labels: int) -> None:
        self._make_state(self.num_thresholds, *labels)
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of any shape, with ``multi_label`` (N, labels); weights are (N,) or like the values."""
        if not self._built:
            shape = shape_of(y_pred)
            if len(shape) != 2:
                raise ValueError(explain("AUC with multi_label=True", f"y_pred of shape {shape}", "shape (N, labels)"))
            self._build(shape[1])
        if self.from_logits:
            y_pred = to_tensor(y_pred, self._dtype).sigmoid()
        label_weights = None if self.multi_label else self.label_weights
        self._count(y_true, y_pred, sample_weight, label_weights, self.multi_label)

    def result(self) -> torch.Tensor:
        """Return the area so far."""
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.interpolate_pr_auc()
        x, y = {"ROC": self._roc, "PR": self._precision_recall, "PRGAIN": self._gains}[self.curve]()
        upper, lower = y[:-1], y[1:]
        if self.summation_method == "interpolation":
            heights = (upper + lower) / 2.0
        else:
            heights = (torch.minimum if self.summation_method == "minoring" else torch.maximum)(upper, lower)
        return self._join((x[:-1] - x[1:]) * heights)

    def _roc(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._rate("fp", "tn"), self._rate("tp", "fn")

    def _precision_recall(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._rate("tp", "fn"), self._rate("tp", "fp")

    def _gains(self) -> tuple[torch.Tensor, torch.Tensor]:
        tp, fp, tn, fn = self._states()
        odds = ratio(tp + fn, tn + fp)
        recall = torch.where(tp == 0, 0.0, 1.0 - odds * ratio(fn, tp))
        precision = torch.where(tp == 0, 1.0, 1.0 - odds * ratio(fp, tp))
        return recall.clamp(min=0.0), precision

    def interpolate_pr_auc(self) -> torch.Tensor:
        """Return the area under the precision-recall curve, true positives interpolated between thresholds.

        Between two thresholds precision is not linear in recall (Davis & Goadrich 2006, "The relationship between
        precision-recall and ROC curves").
        """
        tp, fp, _, fn = self._states()
        p = tp + fp
        slope = ratio(tp[:-1] - tp[1:], (p[:-1] - p[1:]).clamp(min=0))
        intercept = tp[1:] - slope * p[1:]
        growth = torch.where((p[:-1] > 0) & (p[1:] > 0), ratio(p[:-1], p[1:].clamp(min=0)), 1.0)
        areas = slope * (tp[:-1] - tp[1:] + intercept * growth.log())
        return self._join(ratio(areas, (tp[1:] + fn[1:]).clamp(min=0)))

    def _join(self, areas: torch.Tensor) -> torch.Tensor:
        areas = areas.sum(0)
        if not self.multi_label or self.label_weights is None:
            return areas.mean()
        weights = self.label_weights.to(areas)
        return ratio((areas * weights).sum(), weights.sum())

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values; thresholds only if they were given."""
        settings = super().get_config()
        del settings["thresholds"]
        if self.label_weights is not None:
            settings["label_weights"] = registry.serialize(self.label_weights.tolist())
        return {**settings, "thresholds": self.thresholds[1:-1]} if self._own_thresholds else settings
