"""Penalties R(w) on weights, added to the loss: scalars, functions of a weight."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, registry
from convia.args import Configured, Convert, one_of
from convia.errors import explain

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]

_NAMESPACE = "keras.regularizers"


def _factor(default: float) -> Convert:
    def check(value: Any, owner: Any, name: str) -> float:
        if value is None:
            return default
        number = float(value) if isinstance(value, Real) else math.nan
        if not 0 <= number < math.inf:
            who = f"{type(owner).__name__}, argument {name!r}"
            raise ValueError(explain(who, repr(value), "a finite number ≥ 0"))
        return number

    return Convert(check)


class Regularizer(Configured):
    """Base class: a subclass defines ``__call__(x)`` → scalar tensor."""

    _namespace = _NAMESPACE

    def __call__(self, x: Any) -> Any:
        """Return the penalty, 0 unless a subclass says otherwise."""
        return 0.0


class L1(Regularizer):
    """l1·Σ|w|, which drives weights to exactly 0 (Tibshirani 1996, the lasso)."""

    l1: Annotated[float, _factor(0.01)] = 0.01

    def __call__(self, x: Any) -> Tensor:
        return self.l1 * torch.as_tensor(x).abs().sum()


class L2(Regularizer):
    """l2·Σw², weight decay (Krogh & Hertz 1991)."""

    l2: Annotated[float, _factor(0.01)] = 0.01

    def __call__(self, x: Any) -> Tensor:
        return self.l2 * torch.as_tensor(x).square().sum()


class L1L2(Regularizer):
    """l1·Σ|w| + l2·Σw² (Zou & Hastie 2005, the elastic net)."""

    l1: Annotated[float, _factor(0.0)] = 0.0
    l2: Annotated[float, _factor(0.0)] = 0.0

    def __call__(self, x: Any) -> Tensor:
        x = torch.as_tensor(x)
        total: Tensor = x.new_zeros(())
        if self.l1:
            total = total + self.l1 * x.abs().sum()
        if self.l2:
            total = total + self.l2 * x.square().sum()
        return total


class OrthogonalRegularizer(Regularizer):
    """factor·mean |cos ∠(wᵢ, wⱼ)| over all pairs of rows (or columns) w of a matrix, which are to be orthogonal.

    Raises:
        ValueError: the weight is not a matrix.
    """

    factor: Annotated[float, _factor(0.01)] = 0.01
    mode: Annotated[str, one_of("rows", "columns")] = "rows"

    def __call__(self, inputs: Any) -> Tensor:
        inputs = torch.as_tensor(inputs)
        if inputs.ndim != 2:
            raise ValueError(explain("OrthogonalRegularizer", f"shape {tuple(inputs.shape)}", "a matrix"))
        rows = F.normalize(inputs if self.mode == "rows" else inputs.T, dim=1, eps=config.epsilon())
        cosines = (rows @ rows.T).triu(diagonal=1)
        pairs = len(rows) * (len(rows) - 1) // 2
        return self.factor * cosines.abs().sum() / max(pairs, 1)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer


def get(identifier: Any) -> Any:
    """Return the regularizer for a name, a config, a class or a function, which is returned as it is; None is none.

    Raises:
        ValueError: an unknown name. TypeError: neither a name, a config nor callable.
    """
    return registry.find(_NAMESPACE, identifier, "regularizers.get")


def serialize(regularizer: Any) -> Any:
    """Return the regularizer's config."""
    return registry.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the regularizer that ``serialize`` described."""
    return registry.deserialize(config, custom_objects, _NAMESPACE)
