"""Activation functions with arguments or weights of their own, as layers."""

from typing import Annotated, Any

import torch
from torch import Tensor

from convia import activations, constraints, initializers, regularizers
from convia.args import Convert, converter
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.same_shape import _SameShape

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


def _not_negative(value: Any, owner: Any, name: str) -> Any:
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "a number ≥ 0"))
    return value


def _not_negative_or_none(value: Any, owner: Any, name: str) -> Any:
    return None if value is None else _not_negative(value, owner, name)


NotNegative = Annotated[float, Convert(_not_negative)]


class ReLU(_SameShape, Layer):
    """max(x, 0); in full, M for x ≥ M, x for θ < x < M, α·(x − θ) for x ≤ θ.

    Args:
        max_value: M ≥ 0, or None for no maximum.
        negative_slope: α ≥ 0.
        threshold: θ ≥ 0.

    Raises:
        ValueError: a negative argument.
    """

    supports_masking = True
    max_value: Annotated[float | None, Convert(_not_negative_or_none)] = None
    negative_slope: NotNegative = 0.0
    threshold: NotNegative = 0.0

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_SameShape, Layer):
    """x for x > 0, negative_slope·x otherwise (Maas et al. 2013).

    Raises:
        ValueError: a negative slope below 0.
    """

    supports_masking = True
    negative_slope: NotNegative = 0.3

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activations.leaky_relu(inputs, self.negative_slope)


class PReLU(_SameShape, Layer):
    """x for x > 0, α·x otherwise, with learned α (He et al. 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the weight ``alpha``.
        shared_axes: axes (from 1 on) along which all elements have the same α: [1, 2] for one per channel of an
            image. By default every element of a sample has its own.
    """

    supports_masking = True
    alpha_initializer: Annotated[Any, converter(initializers.get)] = "Zeros"
    alpha_regularizer: Annotated[Any, converter(regularizers.get)] = None
    alpha_constraint: Annotated[Any, converter(constraints.get)] = None
    shared_axes: Annotated[
        Any, converter(lambda axes: [axes] if isinstance(axes, int) else None if axes is None else list(axes))
    ] = None

    def build(self, input_shape: Any) -> None:
        """Create ``alpha`` of a sample's shape, with size 1 on the shared axes."""
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=shape,
            name="alpha",
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        own = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in (self.shared_axes or ())}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=own if self.shared_axes else {})

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the function to every element; the gradient at 0 is 0."""
        return torch.addcmul(torch.relu(inputs), self.alpha, torch.relu(-inputs), value=-1)


class ELU(_SameShape, Layer):
    """x for x > 0, alpha·(eˣ − 1) otherwise (Clevert et al. 2016)."""

    supports_masking = True
    alpha: float = 1.0

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activations.elu(inputs, self.alpha)


class Softmax(_SameShape, Layer):
    """eˣ divided by its sum along an axis, or along several.

    Args:
        axis: one axis or a list of them.
    """

    supports_masking = True
    axis: Any = -1

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalize; elements where the mask (broadcast to the inputs) is 0 get 0 and do not count.

        Raises:
            ValueError: a mask that is larger than the inputs.
        """
        if mask is None:
            return activations.softmax(inputs, self.axis)
        if not _fits(tuple(mask.shape), tuple(inputs.shape)):
            raise ValueError(
                explain(
                    f"Softmax layer {self.name!r}",
                    f"a mask of shape {tuple(mask.shape)}",
                    f"one that can be broadcast to the inputs' shape {tuple(inputs.shape)}",
                )
            )
        keep = mask if mask.dtype == torch.bool else mask > 0.5
        low = -3e4 if inputs.dtype == torch.float16 else -1e9
        return torch.where(keep, activations.softmax(torch.where(keep, inputs, low), self.axis), 0)


def _fits(mask: tuple[int, ...], inputs: tuple[int, ...]) -> bool:
    pairs = zip(reversed(mask), reversed(inputs), strict=False)
    return len(mask) <= len(inputs) and all(size in (1, other) for size, other in pairs)
