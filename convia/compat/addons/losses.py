"""``tensorflow_addons.losses``: losses of pairs, triplets, rare classes and boxes."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.losses import Loss

PACKAGE = "Addons"  # of the classes in files


def _float(x: Any) -> Tensor:
    return torch.as_tensor(x).float()


def sigmoid_focal_crossentropy(y_true: Any, y_pred: Any, alpha: float = 0.25, gamma: float = 2.0,
                               from_logits: bool = False) -> Tensor:  # fmt: skip
    """Return −α(1 − p)^γ·ln p of the right answers, summed over the last axis (Lin et al. 2017)."""
    labels, y = _float(y_true), _float(y_pred)
    p = y.sigmoid() if from_logits else y.clamp(1e-7, 1 - 1e-7)
    entropy = F.binary_cross_entropy_with_logits(y, labels, reduction="none") if from_logits else -(
        labels * p.log() + (1 - labels) * (1 - p).log())  # fmt: skip
    right = labels * p + (1 - labels) * (1 - p)
    weight = labels * alpha + (1 - labels) * (1 - alpha) if alpha else 1.0
    return (weight * (1 - right) ** gamma * entropy).sum(-1)


def contrastive_loss(y_true: Any, y_pred: Any, margin: float = 1.0) -> Tensor:
    """Return y·d² + (1 − y)·max(margin − d, 0)² for distances d (Hadsell et al. 2006)."""
    same, distance = _float(y_true), _float(y_pred)
    return same * distance**2 + (1 - same) * (margin - distance).clamp(min=0) ** 2


def _distances(embeddings: Tensor, metric: str) -> Tensor:
    """Return all distances (N, N) between the rows."""
    if metric == "angular":
        rows = F.normalize(embeddings, dim=1)
        return 1 - rows @ rows.t()
    squares = (embeddings**2).sum(1)
    apart = (squares[:, None] + squares[None] - 2 * embeddings @ embeddings.t()).clamp(min=0)
    if metric == "squared-L2":
        return apart
    return torch.where(apart > 0, apart.clamp(min=1e-16).sqrt(), 0.0)


def triplet_semihard_loss(y_true: Any, y_pred: Any, margin: float = 1.0, distance_metric: str = "L2") -> Tensor:
    """Return the mean of max(d(a, p) − d(a, n) + margin, 0) over pairs (a, p) of one class (Schroff et al. 2015).

    The negative n is the nearest one farther away than p, if there is one, else the farthest.
    """
    labels, apart = torch.as_tensor(y_true).reshape(-1), _distances(_float(y_pred), distance_metric)
    same = labels[:, None] == labels[None]
    others = ~same
    farther = others[:, None, :] & (apart[:, None, :] > apart[:, :, None])  # (a, p, n)
    nearest = torch.where(farther, apart[:, None, :], torch.inf).amin(-1)
    farthest = torch.where(others, apart, -torch.inf).amax(-1, keepdim=True)
    negative = torch.where(farther.any(-1), nearest, farthest.expand_as(nearest))
    pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=same.device) & others.any(-1, keepdim=True)
    losses = (margin + apart - torch.where(pairs, negative, 0.0)).clamp(min=0)
    return (losses * pairs).sum() / pairs.sum().clamp(min=1)


def triplet_hard_loss(y_true: Any, y_pred: Any, margin: float = 1.0, soft: bool = False,
                      distance_metric: str = "L2") -> Tensor:  # fmt: skip
    """Return the mean over a of max(farthest of its class − nearest of another + margin, 0) (Hermans et al. 2017)."""
    labels, apart = torch.as_tensor(y_true).reshape(-1), _distances(_float(y_pred), distance_metric)
    same = labels[:, None] == labels[None]
    gap = torch.where(same, apart, 0.0).amax(-1) - torch.where(same, torch.inf, apart).amin(-1)
    return F.softplus(gap).mean() if soft else (gap + margin).clamp(min=0).mean()


def giou_loss(y_true: Any, y_pred: Any, mode: str = "giou") -> Tensor:
    """Return 1 − GIoU of boxes (y1, x1, y2, x2), with mode "iou" 1 − IoU (Rezatofighi et al. 2019)."""
    a, b = _float(y_true), _float(y_pred)
    area = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (a, b)]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = area[0] + area[1] - shared
    ratio = torch.where(union > 0, shared / union.clamp(min=1e-12), 0.0)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    waste = torch.where(hull > 0, (hull - union) / hull.clamp(min=1e-12), 0.0)
    return 1 - ratio + (waste if mode == "giou" else 0)


def _loss(function: Any, **defaults: Any) -> Any:
    """A loss of that function; its settings are the function's, after which come ``name`` and ``reduction``."""

    class FunctionLoss(Loss):
        def __init__(self, *args: Any, name: str | None = None, reduction: str = "sum_over_batch_size",
                     **kwargs: Any) -> None:  # fmt: skip
            super().__init__(name=name or function.__name__, reduction=str(reduction).lower())
            self.settings = {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}

        def call(self, y_true: Any, y_pred: Any) -> Tensor:
            """Return the function's value."""
            value: Tensor = function(y_true, y_pred, **self.settings)
            return value

        def get_config(self) -> dict[str, Any]:
            """Return the settings."""
            return {**super().get_config(), **self.settings}

    return FunctionLoss


ContrastiveLoss = _loss(contrastive_loss, margin=1.0)
GIoULoss = _loss(giou_loss, mode="giou")
SigmoidFocalCrossEntropy = _loss(sigmoid_focal_crossentropy, from_logits=False, alpha=0.25, gamma=2.0)
TripletHardLoss = _loss(triplet_hard_loss, margin=1.0, soft=False, distance_metric="L2")
TripletSemiHardLoss = _loss(triplet_semihard_loss, margin=1.0, distance_metric="L2")
sigmoid_focal_cross_entropy = sigmoid_focal_crossentropy
__all__ = [
    "ContrastiveLoss", "GIoULoss", "SigmoidFocalCrossEntropy", "TripletHardLoss", "TripletSemiHardLoss",
    "contrastive_loss", "giou_loss", "sigmoid_focal_cross_entropy", "sigmoid_focal_crossentropy", "triplet_hard_loss",
    "triplet_semihard_loss",
]  # fmt: skip
