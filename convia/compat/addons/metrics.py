"""``tensorflow_addons.metrics``: agreement of classes beyond chance, in a table of counts."""

from typing import Any

import torch

from convia import metrics

PACKAGE = "Addons"  # of the classes in files


def _average(average: Any) -> Any:
    return None if average in (None, "none") else average


class FBetaScore(metrics.FBetaScore):
    """See :class:`convia.metrics.FBetaScore`; the number of classes is found out."""

    def __init__(self, num_classes: int | None = None, average: Any = None, beta: float = 1.0, threshold: Any = None,
                 name: str = "fbeta_score", dtype: Any = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(_average(average), float(beta), threshold, name=name, dtype=dtype)


class F1Score(FBetaScore):
    """FBetaScore of β = 1."""

    def __init__(self, num_classes: int | None = None, average: Any = None, threshold: Any = None,
                 name: str = "f1_score", dtype: Any = None) -> None:  # fmt: skip
        super().__init__(num_classes, average, 1.0, threshold, name, dtype)


class _Counts(metrics.Metric):
    """A table (true class, predicted class) of counts; class numbers, one-hot rows or scores come in."""

    def __init__(self, num_classes: int, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes = max(num_classes, 2)
        self.table = self.add_weight(shape=(self.num_classes, self.num_classes), initializer="zeros", name="table")

    def _numbers(self, values: Any) -> Any:
        values = torch.as_tensor(values)
        if values.ndim > 1 and values.shape[-1] > 1:
            return values.float().argmax(-1).reshape(-1)
        values = values.reshape(-1)
        return (values >= 0.5).long() if self.num_classes == 2 and values.is_floating_point() else values.long()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        places = self._numbers(y_true) * self.num_classes + self._numbers(y_pred)
        weights = None if sample_weight is None else torch.as_tensor(sample_weight).reshape(-1).float()
        counts = torch.bincount(places, weights, self.num_classes**2)
        self.table.assign_add(counts.reshape(self.num_classes, -1).to(self.table.dtype))


class CohenKappa(_Counts):
    """Agreement beyond chance: 1 − Σ w·observed / Σ w·expected (Cohen 1960).

    Args:
        weightage: w is 1 off the diagonal for None, |i − j| for "linear", (i − j)² for "quadratic".
    """

    def __init__(self, num_classes: int, name: str = "cohen_kappa", weightage: str | None = None,
                 sparse_labels: bool = False, regression: bool = False, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(num_classes, name, dtype)
        self.weightage = weightage

    def result(self) -> Any:
        """Return the agreement so far."""
        apart = torch.arange(self.num_classes)[:, None] - torch.arange(self.num_classes)
        weights = {None: (apart != 0), "linear": apart.abs(), "quadratic": apart**2}[self.weightage].to(self.table)
        expected = self.table.sum(1)[:, None] * self.table.sum(0) / self.table.sum()
        return 1 - (weights * self.table).sum() / (weights * expected).sum()


class MatthewsCorrelationCoefficient(_Counts):
    """The correlation of true and predicted classes."""

    def __init__(self, num_classes: int, name: str = "MatthewsCorrelationCoefficient", dtype: Any = None) -> None:
        super().__init__(num_classes, name, dtype)

    def result(self) -> Any:
        """Return the correlation so far, 0 where one side knows a single class."""
        true, found, count = self.table.sum(1), self.table.sum(0), self.table.sum()
        shared = self.table.diagonal().sum() * count - (true * found).sum()
        below = ((count**2 - (found**2).sum()) * (count**2 - (true**2).sum())).sqrt()
        return torch.where(below == 0, 0.0, shared / below)


class HammingLoss(metrics.MeanMetricWrapper):
    """The share of labels that are wrong: of classes with mode "multiclass", of single labels with "multilabel"."""

    def __init__(self, mode: str, name: str = "hamming_loss", threshold: float | None = None,
                 dtype: Any = None) -> None:  # fmt: skip
        def wrong(y_true: Any, y_pred: Any) -> Any:
            y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
            found = y_pred == y_pred.amax(-1, keepdim=True) if threshold is None else y_pred > threshold
            differs = (found != (y_true > 0.5)).float()
            return differs.amax(-1) if mode == "multiclass" else differs.mean(-1)

        super().__init__(wrong, name=name, dtype=dtype)


__all__ = ["CohenKappa", "F1Score", "FBetaScore", "HammingLoss", "MatthewsCorrelationCoefficient"]
