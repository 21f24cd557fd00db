"""Activation functions φ(x), of and to torch tensors of the same shape."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, registry

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]

_NAMESPACE = "keras.activations"
Axes = int | Sequence[int] | None


def _tensor(x: Any) -> Tensor:
    """Pass on what torch computes with, symbolic tensors included; make a tensor of arrays, lists and numbers."""
    known = isinstance(x, Tensor) or hasattr(x, "__torch_function__")
    return x if known else torch.as_tensor(x, device=config.device())


def _with_scores(y: Tensor, kind: str, x: Tensor) -> Tensor:
    """While gradients are recorded, let the scores travel with the probabilities that were made of them."""
    if isinstance(y, Tensor) and y.requires_grad and not torch.compiler.is_compiling():
        y._scores = kind, x  # type: ignore[attr-defined]
    return y


def scores_of(probabilities: Any, kind: str) -> Tensor | None:
    """Return the scores of which "softmax" (over the last axis) or "sigmoid" made these very probabilities, or None.

    A cross-entropy that starts from them is exact where a probability is nearly 0 or 1, and takes fewer steps.
    """
    made_by, scores = getattr(probabilities, "_scores", (None, None))
    return scores if made_by == kind else None


def linear(x: Any) -> Any:
    """φ(x) = x."""
    return x


def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Rectified linear unit: max(x, 0), Nair & Hinton 2010.

    In full, with slope α, maximum M and threshold θ: M for x ≥ M, x for θ < x < M, α·(x − θ) for x ≤ θ.
    """
    x = _tensor(x)
    if max_value is None and threshold == 0:
        return F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    y = torch.where(x > threshold, x, 0) if threshold else x
    if max_value is not None:
        y = F.hardtanh(y, 0, max_value)
    return y - negative_slope * torch.relu(threshold - x) if negative_slope else y


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6), Howard et al. 2017 (MobileNet)."""
    return F.relu6(_tensor(x))


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x for x > 0, negative_slope·x otherwise, Maas et al. 2013."""
    return F.leaky_relu(_tensor(x), negative_slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x for x > 0, α(eˣ − 1) otherwise, Clevert et al. 2016."""
    return F.elu(_tensor(x), alpha)


def selu(x: Tensor) -> Tensor:
    """λ·elu(x, α) with λ ≈ 1.0507, α ≈ 1.6733, which keep mean 0 and variance 1, Klambauer et al. 2017."""
    return torch.selu(_tensor(x))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(α(e^(x/α) − 1), 0), Barron 2017."""
    return F.celu(_tensor(x), alpha)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x·Φ(x), Φ the normal distribution function, or its approximation with tanh, Hendrycks & Gimpel 2016."""
    return F.gelu(_tensor(x), approximate="tanh" if approximate else "none")


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """a·σ(b), a and b the halves of x along the axis, which halves its size; Dauphin et al. 2017."""
    return F.glu(_tensor(x), axis)


def silu(x: Tensor) -> Tensor:
    """x·σ(x), also called swish, Ramachandran et al. 2017."""
    return F.silu(_tensor(x))


def hard_silu(x: Tensor) -> Tensor:
    """x·relu6(x + 3)/6, also called hard swish, Howard et al. 2019 (MobileNetV3)."""
    return F.hardswish(_tensor(x))


def mish(x: Tensor) -> Tensor:
    """x·tanh(softplus(x)), Misra 2019."""
    return F.mish(_tensor(x))


def sigmoid(x: Tensor) -> Tensor:
    """σ(x) = 1/(1 + e⁻ˣ)."""
    x = _tensor(x)
    return _with_scores(torch.sigmoid(x), "sigmoid", x)


def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3)/6."""
    return F.hardsigmoid(_tensor(x))


def sparse_sigmoid(x: Tensor) -> Tensor:
    """(x + 1)/2 between −1 and 1, which are its 0 and its 1."""
    x = _tensor(x)
    return torch.where(x <= -1, 0, torch.where(x >= 1, 1, 0.5 * (x + 1)))


def log_sigmoid(x: Tensor) -> Tensor:
    """ln σ(x)."""
    return F.logsigmoid(_tensor(x))


def tanh(x: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)."""
    return torch.tanh(_tensor(x))


def hard_tanh(x: Tensor) -> Tensor:
    """min(max(x, −1), 1)."""
    return F.hardtanh(_tensor(x))


def tanh_shrink(x: Tensor) -> Tensor:
    """x − tanh(x)."""
    return F.tanhshrink(_tensor(x))


def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by the threshold; 0 between −threshold and threshold."""
    return F.softshrink(_tensor(x), threshold)


def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x, but 0 between −threshold and threshold."""
    return F.hardshrink(_tensor(x), threshold)


def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it is above the threshold, the default value elsewhere."""
    return F.threshold(_tensor(x), threshold, default_value)


def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ)."""
    return F.softplus(_tensor(x))


def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + √(x² + b))/2, Barron 2021."""
    x = _tensor(x)
    return (x + torch.sqrt(x**2 + b)) / 2


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to −1, (x + 1)²/4 between −1 and 1, x from there."""
    x = _tensor(x)
    return torch.where(x <= -1, 0, torch.where(x < 1, 0.25 * (x + 1) ** 2, x))


def softsign(x: Tensor) -> Tensor:
    """x/(1 + |x|)."""
    return F.softsign(_tensor(x))


def exponential(x: Tensor) -> Tensor:
    """eˣ."""
    return torch.exp(_tensor(x))


def _over_several(function: Callable[..., Tensor], x: Tensor, axes: Sequence[int] | None) -> Tensor:
    axes = tuple(range(x.ndim) if axes is None else axes)
    last = tuple(range(-len(axes), 0))
    moved = x.movedim(axes, last)
    return function(moved.flatten(-len(axes)), -1).view(moved.shape).movedim(last, axes)


def softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """eˣ divided by its sum along an axis, along several, or (None) over all elements: positive, and of sum 1.

    Warns about an axis of size 1, where the result is always 1.
    """
    x = _tensor(x)
    if not isinstance(axis, int):
        return _over_several(torch.softmax, x, axis)
    if -x.ndim <= axis < x.ndim and x.shape[axis] == 1:
        warnings.warn(
            f"softmax over axis {axis} of a tensor of shape {tuple(x.shape)}: the axis has size 1, so the result is "
            "always 1. Did you mean sigmoid?",
            stacklevel=2,
        )
    y = torch.softmax(x, axis)
    return _with_scores(y, "softmax", x) if axis in (-1, x.ndim - 1) else y


def log_softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """Return ln softmax(x), exact also where softmax(x) is nearly 0."""
    x = _tensor(x)
    return torch.log_softmax(x, axis) if isinstance(axis, int) else _over_several(torch.log_softmax, x, axis)


def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """Project x on the probability simplex, which sets small elements to exactly 0.

    Martins & Astudillo 2016, "From softmax to sparsemax": max(x − τ, 0) with τ = (Σ of the k largest − 1)/k, where k is
    the greatest number with 1 + k·z₍ₖ₎ > Σ of the k largest.
    """
    x = _tensor(x)
    ordered = x.sort(axis, descending=True).values
    excess = ordered.cumsum(axis) - 1
    rank = torch.arange(1, x.shape[axis] + 1, dtype=x.dtype, device=x.device)
    rank = rank.view([-1 if dim == axis % x.ndim else 1 for dim in range(x.ndim)])
    k = (rank * ordered > excess).sum(axis, keepdim=True)
    return torch.relu(x - excess.gather(axis, k - 1) / k)


swish = silu
hard_swish = hard_silu

for _name in set(__all__) - {"get", "serialize", "deserialize"}:
    registry.register(_NAMESPACE, globals()[_name], _name)


def get(identifier: Any) -> Callable[..., Any]:
    """Return the activation for a name, a config, or something callable, which is returned as it is; None is linear.

    Raises:
        ValueError: an unknown name. TypeError: neither a name, a config nor callable.
    """
    return linear if identifier is None else registry.find(_NAMESPACE, identifier, "activations.get")


def serialize(activation: Callable[..., Any]) -> Any:
    """Return the name of one of the library's functions, the config of a layer or of a registered function."""
    return registry.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the function or layer that ``serialize`` described."""
    return registry.deserialize(config, custom_objects, _NAMESPACE)
