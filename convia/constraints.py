"""Functions applied to a weight after each step of the optimizer.

``axis`` counts in Keras's shapes: a norm is taken over the inputs of each unit, which is axis 0 for a dense kernel
(in, out) and axis [0, 1, 2] for a convolution's (height, width, in, out).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convia import config, registry
from convia.args import Configured

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

_NAMESPACE = "keras.constraints"
Axes = int | Sequence[int] | None


class Constraint(Configured):
    """Base class: a subclass defines ``__call__(w)`` → a tensor of the same shape."""

    _namespace = _NAMESPACE

    def __call__(self, w: Any) -> Any:
        """Return the weight as it is, unless a subclass says otherwise."""
        return w


def _rescale(w: Any, axis: Axes, wanted: Callable[[Tensor], Tensor]) -> Tensor:
    """Return w·wanted(‖w‖)/‖w‖, with norms along the axes."""
    weight = torch.as_tensor(w)
    norms: Tensor = torch.linalg.vector_norm(weight, dim=axis, keepdim=True)
    return weight * (wanted(norms) / (config.epsilon() + norms))


class MaxNorm(Constraint):
    """Scale down what has a norm above ``max_value`` (Srivastava et al. 2014)."""

    max_value: float = 2
    axis: Axes = 0

    def __call__(self, w: Any) -> Tensor:
        return _rescale(w, self.axis, lambda norms: norms.clamp(0, self.max_value))


class UnitNorm(Constraint):
    """Scale to norm 1."""

    axis: Axes = 0

    def __call__(self, w: Any) -> Tensor:
        return _rescale(w, self.axis, torch.ones_like)


class MinMaxNorm(Constraint):
    """Scale norms to lie between two bounds; ``rate`` < 1 goes only that part of the way at each step."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: Axes = 0

    def __call__(self, w: Any) -> Tensor:
        return _rescale(
            w,
            self.axis,
            lambda norms: self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms,
        )


class NonNeg(Constraint):
    """Set negative weights to 0."""

    def __call__(self, w: Any) -> Tensor:
        return torch.as_tensor(w).clamp(min=0)


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm


def get(identifier: Any) -> Any:
    """Return the constraint for a name, a config, a class or a function, which is returned as it is; None is none.

    Raises:
        ValueError: an unknown name. TypeError: neither a name, a config nor callable.
    """
    return registry.find(_NAMESPACE, identifier, "constraints.get")


def serialize(constraint: Any) -> Any:
    """Return the constraint's config."""
    return registry.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the constraint that ``serialize`` described."""
    return registry.deserialize(config, custom_objects, _NAMESPACE)
