"""Arrays for training: labels as one-hot rows, vectors of unit length."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convia import config
from convia.errors import explain


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Turn class numbers into one-hot rows.

    Args:
        x: whole numbers from 0, of shape (…) or (…, 1): an array, a list or a tensor.
        num_classes: C; by default the largest number + 1.

    Returns:
        Shape (…, C): float64 for arrays and lists, an int64 tensor for a tensor.

    Raises:
        IndexError: a number beyond the classes.
        ValueError: nothing to count the classes of.
    """
    is_tensor = isinstance(x, torch.Tensor)
    labels: Any = x.long() if is_tensor else np.array(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]  # (…, 1) → (…)
    count = int(np.prod(labels.shape))
    if not num_classes:
        if not count:
            raise ValueError(explain("to_categorical", "no labels", "labels, or num_classes", "Give num_classes."))
        num_classes = int(labels.max()) + 1
    low, high = (int(labels.min()), int(labels.max())) if count else (0, 0)
    if high >= num_classes or (low < -num_classes and not is_tensor):
        wrong = high if high >= num_classes else low
        raise IndexError(
            explain(
                "to_categorical",
                f"the label {wrong} for {num_classes} classes",
                f"labels from 0 to {num_classes - 1}",
                "Class numbers start at 0; pass a larger num_classes, or renumber the labels.",
            )
        )
    if is_tensor:  # a negative label has no class: its row is zeros
        return torch.nn.functional.one_hot(labels.clamp(min=0), num_classes) * (labels >= 0)[..., None]
    return np.eye(num_classes)[labels]  # a negative label counts from the last class, as NumPy does


def normalize(x: Any, axis: int = -1, order: int = 2) -> npt.NDArray[Any] | torch.Tensor:
    """Divide by the norm along an axis; what is zero stays zero.

    Args:
        x: an array, which gives an array (of shape (1, n) for a vector of n, as in Keras); or a tensor or a list,
            which give a tensor.
        axis: along which to take the norm; None for one norm of the whole array.
        order: p of the norm (Σ|x|^p)^(1/p).

    Raises:
        ValueError: an order that is not a whole number ≥ 1, for a tensor or a list.
    """
    unit: npt.NDArray[Any] | torch.Tensor
    if isinstance(x, np.ndarray):
        norm = np.atleast_1d(np.linalg.norm(x, order, axis))
        norm[norm == 0] = 1
        unit = x / np.expand_dims(norm, -1 if axis is None else axis)
        return unit
    if not isinstance(order, int) or order < 1:
        raise ValueError(explain("normalize, argument 'order'", repr(order), "a whole number ≥ 1"))
    tensor = x if isinstance(x, torch.Tensor) else torch.as_tensor(x, device=config.device())
    if not tensor.is_floating_point():
        tensor = tensor.to(config.torch_dtype(config.floatx()))
    tensor = torch.as_tensor(torch.atleast_1d(tensor))
    norms: torch.Tensor = torch.linalg.vector_norm(tensor, order, axis, keepdim=True)
    unit = tensor / norms.clamp(min=config.epsilon())
    return unit
