"""``tensorflow_addons.layers``, and the instance normalization of ``keras_contrib``."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import activations, layers
from convia.layer import Layer

PACKAGE = "Addons"  # of the classes in files

AdaptiveAveragePooling1D, AdaptiveAveragePooling2D = layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D
AdaptiveMaxPooling1D, AdaptiveMaxPooling2D = layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D
AdaptiveAveragePooling3D, AdaptiveMaxPooling3D = layers.AdaptiveAveragePooling3D, layers.AdaptiveMaxPooling3D
GroupNormalization, SpectralNormalization = layers.GroupNormalization, layers.SpectralNormalization


class InstanceNormalization(layers.GroupNormalization):
    """Normalizes each channel of each image by itself; with ``axis=None`` all of an image together, as keras_contrib.

    Args:
        axis: of the channels.
        epsilon, center, scale, …: see :class:`GroupNormalization`.
    """

    groups: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole = self.axis is None
        if self._whole:
            self.axis, self.groups = -1, 1


class StochasticDepth(Layer):
    """shortcut + b·residual for (shortcut, residual), b = 1 with the survival probability while training (Huang 2016).

    In predictions b is that probability.
    """

    survival_probability: float = 0.5

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Add the residual or leave it out, for each example."""
        shortcut, residual = inputs
        if not training:
            weighted: Tensor = shortcut + self.survival_probability * residual
            return weighted
        shape = (residual.shape[0], *[1] * (residual.ndim - 1))
        drawn: Tensor = shortcut + (torch.rand(shape, device=residual.device) < self.survival_probability) * residual
        return drawn


class WeightNormalization(layers.Wrapper):
    """Gives a layer the kernel g·v/|v|, one length g per output (Salimans & Kingma 2016).

    Args:
        layer: with a weight ``kernel``.
        data_init: accepted; g starts at the kernel's own lengths.
    """

    data_init: bool = True

    def build(self, input_shape: Any = None) -> None:
        """Create ``g`` (outputs,); v is the layer's own kernel."""
        super().build(input_shape)
        kernel = self.layer.kernel
        self.g = self.add_weight(name="g", shape=(kernel.shape[-1],), initializer="ones")
        with torch.no_grad():
            self.g.copy_(self._lengths(kernel))

    @staticmethod
    def _lengths(kernel: Any) -> Any:
        return kernel.reshape(-1, kernel.shape[-1]).norm(dim=0)

    def call(self, inputs: Tensor) -> Tensor:
        """Call the layer with the normalized kernel."""
        own: Tensor = self.layer.kernel
        kernel = own * (self.g / self._lengths(own).clamp(min=1e-12))
        del self.layer._parameters["kernel"]
        self.layer.__dict__["kernel"] = kernel
        try:
            y: Tensor = self.layer(inputs)
        finally:
            del self.layer.__dict__["kernel"]
            self.layer._parameters["kernel"] = own
        return y


class Maxout(Layer):
    """The largest of each group of channels, ``num_units`` groups (Goodfellow 2013)."""

    num_units: int
    axis: int = -1

    def call(self, inputs: Tensor) -> Tensor:
        """Take the largest."""
        x = inputs.movedim(self.axis, -1)
        return x.reshape(*x.shape[:-1], self.num_units, -1).amax(-1).movedim(-1, self.axis)


class GELU(layers.Activation):
    """x·Φ(x)."""

    def __init__(self, approximate: bool = True, **kwargs: Any) -> None:
        super().__init__(lambda x: F.gelu(x, approximate="tanh" if approximate else "none"), **kwargs)


class Mish(layers.Activation):
    """x·tanh(ln(1 + eˣ))."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(activations.mish, **kwargs)


__all__ = [
    "GELU", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "GroupNormalization", "InstanceNormalization", "Maxout", "Mish",
    "SpectralNormalization", "StochasticDepth", "WeightNormalization",
]  # fmt: skip
