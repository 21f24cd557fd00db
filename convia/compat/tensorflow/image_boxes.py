"""Boxes (y1, x1, y2, x2) in images of which no two overlap too much: ``tf.image.non_max_suppression`` and relatives."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from convia.compat.tensorflow.door import api, given, number
from convia.symbolic import tracing


class _Regions:
    """Boxes whose corners may be given in any order."""

    def __init__(self, corners: Tensor) -> None:
        self._low = torch.minimum(corners[:, :2], corners[:, 2:])
        self._high = torch.maximum(corners[:, :2], corners[:, 2:])
        self._areas = (self._high - self._low).prod(-1)

    def meet(self, one: int, others: Any = slice(None)) -> tuple[Tensor, Tensor]:
        """Return the areas that a box shares with others, and those that they cover together."""
        low, high = torch.maximum(self._low[one], self._low[others]), torch.minimum(self._high[one], self._high[others])
        shared = (high - low).clamp(min=0).prod(-1)
        return shared, self._areas[one] + self._areas[others] - shared


@api
def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
) -> Any:
    """Return the numbers of the best boxes (y1, x1, y2, x2) of which no two overlap too much."""
    corners, points = given(boxes).float(), given(scores).float()
    if tracing():  # as many as there can be
        return corners.new_empty((len(corners),), dtype=torch.int32)
    regions = _Regions(corners)
    kept: list[int] = []
    for place in points.argsort(descending=True, stable=True).tolist():
        if len(kept) == number(max_output_size) or points[place] <= float(score_threshold):
            break
        shared, union = regions.meet(place, kept)
        if not bool((shared > float(iou_threshold) * union).any()):
            kept.append(place)
    return torch.tensor(kept, dtype=torch.int32)


@api
def non_max_suppression_with_scores(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    soft_nms_sigma: float = 0.0,
) -> Any:
    """Return the numbers of the best boxes and their scores; with a sigma, scores shrink by exp(−IoU²/2σ) of overlaps.

    Bodla et al. 2017 (arXiv:1704.04503); boxes are not left out then, unless their scores fall to the threshold.
    """
    if not soft_nms_sigma:
        kept = non_max_suppression(boxes, scores, max_output_size, iou_threshold, score_threshold)
        return kept, given(scores).float()[kept.long()]
    corners, left = given(boxes).float(), given(scores).float().clone()
    regions = _Regions(corners)
    chosen: list[int] = []
    points: list[float] = []
    while len(chosen) < min(number(max_output_size), len(corners)):
        best = int(left.argmax())
        if float(left[best]) <= float(score_threshold) or float(left[best]) == float("-inf"):
            break
        chosen.append(best)
        points.append(float(left[best]))
        shared, union = regions.meet(best)
        overlap = shared / union.clamp(min=1e-12)
        left = left * torch.exp(-(overlap**2) / (2 * soft_nms_sigma))
        left[best] = float("-inf")
    return torch.tensor(chosen, dtype=torch.int32), torch.tensor(points)


class Suppressed(NamedTuple):
    """What is left of the boxes of each image, filled up with zeros, and how many these are."""

    nmsed_boxes: Any
    nmsed_scores: Any
    nmsed_classes: Any
    valid_detections: Any


@api
def combined_non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size_per_class: Any,
    max_total_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    pad_per_class: bool = False,
    clip_boxes: bool = True,
) -> Any:
    """Return the best boxes of each image over all classes.

    Args:
        boxes: (N, boxes, classes or 1, 4).
        scores: (N, boxes, classes).
    """
    corners, points = given(boxes).float(), given(scores).float()
    most = number(max_total_size)
    if pad_per_class:
        most = min(most, number(max_output_size_per_class) * points.shape[-1])
    if tracing():
        empty = points.new_empty
        count = len(points)
        return Suppressed(empty((count, most, 4)), empty((count, most)), empty((count, most)),
                          empty((count,), dtype=torch.int32))  # fmt: skip
    options = (number(max_output_size_per_class), most, iou_threshold, score_threshold)
    rows = [_of_image(box, point, *options) for box, point in zip(corners, points, strict=True)]
    found = Suppressed(*(torch.stack(column) for column in zip(*rows, strict=True)))
    return found._replace(nmsed_boxes=found.nmsed_boxes.clamp(0, 1)) if clip_boxes else found


def _of_image(boxes: Any, scores: Any, per_class: int, most: int, iou: Any, least: Any) -> tuple[Any, ...]:
    chosen = []
    for kind in range(scores.shape[-1]):
        own = boxes[:, min(kind, boxes.shape[1] - 1)]
        for place in non_max_suppression(own, scores[:, kind], per_class, iou, least).tolist():
            chosen.append((scores[place, kind], kind, own[place]))
    chosen = sorted(chosen, key=lambda item: -float(item[0]))[:most]
    result = boxes.new_zeros((most, 4)), scores.new_zeros(most), scores.new_zeros(most)
    for row, (score, kind, box) in enumerate(chosen):
        result[0][row], result[1][row], result[2][row] = box, score, float(kind)
    return (*result, torch.tensor(len(chosen), dtype=torch.int32))


__all__ = ["combined_non_max_suppression", "non_max_suppression", "non_max_suppression_with_scores"]
