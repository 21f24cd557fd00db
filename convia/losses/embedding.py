"""Losses whose labels say which examples belong together, or which sequence was written."""

from typing import Any

import torch
from torch.nn import functional

from convia.errors import explain
from convia.losses.base import LossFunctionWrapper, set_mask
from convia.losses.inputs import shape_of, to_tensor

__all__ = ["CTC", "Circle", "circle", "ctc"]


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> torch.Tensor:
    """Return the circle loss of L2-normalized embeddings (Sun et al. 2020, arXiv:2002.10857).

    Args:
        y_true: class numbers, (N,).
        y_pred: embeddings of length 1, (N, D).
        ref_labels, ref_embeddings: what to compare with, the batch itself without them.
        remove_diagonal: leave out each example's comparison with itself.
        gamma: scale. margin: relaxation m.
    """
    y_pred = to_tensor(y_pred)
    labels = to_tensor(y_true, torch.long, y_pred).reshape(-1, 1)
    others = labels if ref_labels is None else to_tensor(ref_labels, torch.long, y_pred).reshape(-1, 1)
    references = y_pred if ref_embeddings is None else to_tensor(ref_embeddings, y_pred.dtype, y_pred)
    distance = (1.0 - y_pred @ references.T).clamp(min=0.0)
    same = labels == others.T
    pairs = same & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device) if remove_diagonal else same
    near = -gamma * ((margin + distance) * pairs).clamp(min=0.0) * (margin - distance)
    far = gamma * ((1.0 + margin - distance) * ~same).clamp(min=0.0) * (1.0 - margin - distance)
    positive = near.masked_fill(~pairs, float("-inf")).logsumexp(1)
    negative = far.masked_fill(same, float("-inf")).logsumexp(1)
    loss = functional.softplus(positive + negative)
    return set_mask(loss, loss > 0)


def ctc(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return the connectionist temporal classification loss (Graves et al. 2006).

    Args:
        y_true: class numbers, (N, longest), filled up with 0, which is also the blank.
        y_pred: scores before softmax, (N, steps, classes).

    Raises:
        ValueError: other ranks.
    """
    for name, value, expected in (("y_true", y_true, "(N, length)"), ("y_pred", y_pred, "(N, steps, classes)")):
        if len(shape_of(value)) != expected.count(",") + 1:
            raise ValueError(explain("ctc", f"{name} of shape {shape_of(value)}", f"shape {expected}"))
    y_pred = to_tensor(y_pred)
    labels = to_tensor(y_true, torch.long, y_pred)
    logs = y_pred.transpose(0, 1).log_softmax(-1)  # (steps, N, classes)
    steps = torch.full((y_pred.shape[0],), y_pred.shape[1], dtype=torch.long, device=y_pred.device)
    return functional.ctc_loss(logs, labels, steps, (labels != 0).sum(-1), blank=0, reduction="none")


class Circle(LossFunctionWrapper, function=circle, takes_labels=True):
    """Circle loss of L2-normalized embeddings (arXiv:2002.10857)."""

    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: bool = True


class CTC(LossFunctionWrapper, function=ctc, takes_labels=True):
    """Connectionist temporal classification; class 0 is the blank and the padding."""
