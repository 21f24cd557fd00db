"""Intersection over union of predicted and true areas, per class: overlap / (true + predicted − overlap)."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch

from convia import config
from convia.args import Convert, PositiveInt
from convia.errors import explain
from convia.losses.base import compute_dtype
from convia.losses.inputs import to_tensor
from convia.metrics.base import Metric

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]

CountDtype = Annotated[Any, Convert(lambda value, owner, name: _count_dtype(value))]


def _count_dtype(value: Any) -> str:
    return "int32" if value in (None, "int") else compute_dtype(value)


class IoU(Metric):
    """Mean intersection over union of some classes.

    Args:
        num_classes: how many classes there are.
        target_class_ids: those that are averaged.
        name, dtype: see :class:`Metric`; counts are int32 without a type.
        ignore_class: a class number of labels to leave out.
        sparse_y_true, sparse_y_pred: class numbers; otherwise scores along ``axis``, of which the largest counts.
        axis: the class axis of scores.

    Raises:
        ValueError: a target class that does not exist.
    """

    _direction = "up"
    num_classes: PositiveInt
    target_class_ids: Sequence[int]
    name: str | None = None
    dtype: CountDtype = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def __post_init__(self) -> None:
        self.target_class_ids = list(self.target_class_ids)
        if max(self.target_class_ids) >= self.num_classes:
            who = f"{type(self).__name__}, argument 'target_class_ids'"
            raise ValueError(explain(who, self.target_class_ids, f"class numbers from 0 to {self.num_classes - 1}"))
        super().__post_init__()
        shape = (self.num_classes, self.num_classes)
        self.total_cm = self.add_variable(shape, None, self.dtype, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of any shape with one weight per value or for all; class numbers out of range are left out."""
        y_pred = to_tensor(y_pred)
        y_true = to_tensor(y_true, None, y_pred)
        y_true = (y_true if self.sparse_y_true else y_true.argmax(self.axis)).to(self._dtype).reshape(-1)
        y_pred = (y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)).to(self._dtype).reshape(-1)
        if len(y_true) != len(y_pred):
            received = f"{len(y_true)} labels and {len(y_pred)} predictions"
            raise ValueError(explain(type(self).__name__, received, "as many of each", _sparse_hint(self)))
        valid = (y_true >= 0) & (y_true < self.num_classes) & (y_pred >= 0) & (y_pred < self.num_classes)
        if self.ignore_class is not None:
            valid &= y_true != self.ignore_class
        cells = torch.where(valid, y_true * self.num_classes + y_pred, 0).long()
        weight = torch.where(valid, self._weight(sample_weight, y_true), 0)
        counts = torch.zeros(self.num_classes**2, dtype=self._dtype, device=cells.device)
        self._add(self.total_cm, counts.index_add_(0, cells, weight).reshape(self.total_cm.shape))

    def _weight(self, sample_weight: Any, y_true: torch.Tensor) -> torch.Tensor:
        weight = to_tensor(1 if sample_weight is None else sample_weight, None, y_true)
        if weight.is_floating_point() and not self._dtype.is_floating_point:
            who = f"{type(self).__name__} with dtype {self.dtype!r}"
            remedy = "They are cut to whole numbers; pass dtype='float32' to keep them."
            warnings.warn(explain(who, "float sample weights", "whole numbers", remedy), stacklevel=3)
        weights: torch.Tensor = weight.to(self._dtype).reshape(-1).expand(y_true.shape)
        return weights

    def result(self) -> torch.Tensor:
        """Return the mean over the target classes that occurred."""
        overlap = self.total_cm.diagonal()
        union = self.total_cm.sum(0) + self.total_cm.sum(1) - overlap
        overlap, union = (x[self.target_class_ids].to(torch.float32) for x in (overlap, union))
        occurred = union > 1e-9
        iou = torch.where(occurred, overlap / (union + config.epsilon()), 0.0)
        return iou.sum() / (occurred.sum() + config.epsilon())


def _sparse_hint(metric: IoU) -> str:
    sparse = [name for name in ("sparse_y_true", "sparse_y_pred") if getattr(metric, name)]
    return f"For one-hot rows or scores pass {' or '.join(f'{name}=False' for name in sparse)}." if sparse else ""


class BinaryIoU(IoU):
    """Mean intersection over union of the classes 0 and 1; predictions of at least ``threshold`` are 1."""

    num_classes = 2
    ignore_class = None
    sparse_y_true = sparse_y_pred = True
    axis = -1
    target_class_ids: Sequence[int] = (0, 1)
    threshold: float = 0.5
    name: str | None = None
    dtype: CountDtype = None

    if TYPE_CHECKING:

        def __init__(
            self,
            target_class_ids: Sequence[int] = (0, 1),
            threshold: float = 0.5,
            name: str | None = None,
            dtype: Any = None,
        ) -> None: ...

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of any shape."""
        super().update_state(y_true, to_tensor(y_pred, torch.float32) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Mean intersection over union of all classes."""

    num_classes: PositiveInt
    name: str | None = None
    dtype: CountDtype = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    if TYPE_CHECKING:

        def __init__(
            self,
            num_classes: int,
            name: str | None = None,
            dtype: Any = None,
            ignore_class: int | None = None,
            sparse_y_true: bool = True,
            sparse_y_pred: bool = True,
            axis: int = -1,
        ) -> None: ...

    def __post_init__(self) -> None:
        self.target_class_ids = range(self.num_classes)
        super().__post_init__()


class OneHotIoU(IoU):
    """Mean intersection over union of some classes; labels are one-hot rows."""

    sparse_y_true = False
    num_classes: PositiveInt
    target_class_ids: Sequence[int]
    name: str | None = None
    dtype: CountDtype = None
    ignore_class: int | None = None
    sparse_y_pred: bool = False
    axis: int = -1

    if TYPE_CHECKING:

        def __init__(
            self,
            num_classes: int,
            target_class_ids: Sequence[int],
            name: str | None = None,
            dtype: Any = None,
            ignore_class: int | None = None,
            sparse_y_pred: bool = False,
            axis: int = -1,
        ) -> None: ...


class OneHotMeanIoU(MeanIoU):
    """Mean intersection over union of all classes; labels are one-hot rows."""

    sparse_y_true = False
    num_classes: PositiveInt
    name: str | None = None
    dtype: CountDtype = None
    ignore_class: int | None = None
    sparse_y_pred: bool = False
    axis: int = -1

    if TYPE_CHECKING:

        def __init__(
            self,
            num_classes: int,
            name: str | None = None,
            dtype: Any = None,
            ignore_class: int | None = None,
            sparse_y_pred: bool = False,
            axis: int = -1,
        ) -> None: ...
