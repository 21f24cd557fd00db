"""Noise while training (dropout, Gaussian noise), and penalties on activities. Inference passes the inputs on."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia import config, random
from convia.args import Convert, Fraction, whole
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.one_tensor import _OneTensor
from convia.layout import channel_axis
from convia.regularizers import L1L2

__all__ = [
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


def _noise_shape(value: Any, owner: Any, name: str) -> tuple[int | None, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        expected = "a tuple of whole numbers, None standing for the inputs' size"
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), expected))
    return tuple(None if size is None else whole(size, owner, name) for size in value)


NoiseShape = Annotated[Any, Convert(_noise_shape)]


class _Random(_OneTensor, Layer):
    """Base of layers with a seed: None draws from torch's global generator, a whole number starts its own sequence."""

    supports_masking = True

    def __post_init__(self) -> None:
        seed: Any = self.seed
        self.seed_generator = random.SeedGenerator(seed) if isinstance(seed, int) else seed

        noise_shape = getattr(self, "noise_shape", None)
        self.input_spec = None if noise_shape is None else InputSpec(ndim=len(noise_shape))

    def _dropped(self, inputs: Tensor, rate: float, noise_shape: tuple[int | None, ...] | None) -> Tensor:
        if noise_shape is not None and len(noise_shape) != inputs.ndim:
            self._check_inputs((inputs,))
        return random.dropout(inputs, rate, noise_shape, self.seed_generator)

    def _generator(self, inputs: Tensor) -> torch.Generator | None:
        return random.generator(self.seed_generator, inputs.device)

    def _normal(self, inputs: Tensor, mean: float, stddev: float) -> Tensor:
        return torch.empty_like(inputs, memory_format=torch.contiguous_format).normal_(
            mean, stddev, generator=self._generator(inputs)
        )


class Dropout(_Random):
    """Sets a fraction ``rate`` of the elements to 0 and divides the rest by 1 − rate (Srivastava et al. 2014).

    Args:
        rate: from 0 to 1.
        noise_shape: shape of the mask, broadcast to the inputs': (None, 1, 1, None) drops whole channels.
        seed: a whole number for a reproducible sequence of masks.

    Raises:
        ValueError: a rate outside [0, 1].
    """

    rate: Fraction
    noise_shape: NoiseShape = None
    seed: random.Seed = None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop elements while training."""
        return self._dropped(inputs, self.rate, self.noise_shape) if training else inputs


class _SpatialDropout(_Random):
    """Drops whole feature maps instead of single elements (Tompson et al. 2015)."""

    rank: ClassVar[int]
    rate: Fraction

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.rank + 2)
        channel = channel_axis(getattr(self, "data_format", "channels_last"))
        shape: list[int | None] = [None, *[1] * (self.rank + 1)]
        shape[channel] = None
        self._noise_shape = tuple(shape)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop feature maps while training."""
        return self._dropped(inputs, self.rate, self._noise_shape) if training else inputs

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; Keras's takes no others than these."""
        given = super().get_config()
        del given["trainable"]
        return {**given, "dtype": self.dtype}


class SpatialDropout1D(_SpatialDropout):
    """Sets a fraction ``rate`` of the channels of sequences (N, L, C) to 0 and divides the rest by 1 − rate."""

    rank = 1
    seed: random.Seed = None
    if not TYPE_CHECKING:  # by position, see Layer
        name: str | None = None
        dtype: Any = None


class _SpatialDropoutOfImages(_SpatialDropout):
    data_format: Annotated[Any, Convert(lambda value, owner, name: config.standardize_data_format(value))] = None
    seed: random.Seed = None
    if not TYPE_CHECKING:  # by position, see Layer
        name: str | None = None
        dtype: Any = None


class SpatialDropout2D(_SpatialDropoutOfImages):
    """Sets a fraction ``rate`` of the channels of images to 0 and divides the rest by 1 − rate.

    Args:
        rate: from 0 to 1.
        data_format: "channels_last" (N, H, W, C), "channels_first" (N, C, H, W), None for the global setting.
        seed: a whole number for a reproducible sequence of masks.
    """

    rank = 2


class SpatialDropout3D(_SpatialDropoutOfImages):
    """Sets a fraction ``rate`` of the channels of volumes to 0 and divides the rest by 1 − rate.

    Args:
        rate: from 0 to 1.
        data_format: "channels_last" (N, D, H, W, C), "channels_first" (N, C, D, H, W), None for the global setting.
        seed: a whole number for a reproducible sequence of masks.
    """

    rank = 3


class GaussianNoise(_Random):
    """Adds noise from N(0, stddev²).

    Raises:
        ValueError: a standard deviation outside [0, 1].
    """

    stddev: Fraction
    seed: random.Seed = None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Add noise while training."""
        return inputs + self._normal(inputs, 0, self.stddev) if training and self.stddev else inputs


class GaussianDropout(_Random):
    """Multiplies with noise from N(1, rate / (1 − rate)), of the variance that dropout has (Srivastava et al. 2014).

    Raises:
        ValueError: a rate outside [0, 1].
    """

    rate: Fraction
    seed: random.Seed = None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Multiply with noise while training."""
        if not training or not self.rate:
            return inputs
        return inputs * self._normal(inputs, 1, (self.rate / (1 - self.rate)) ** 0.5)


class AlphaDropout(_Random):
    """Dropout for networks of SELUs: keeps mean and variance (Klambauer et al. 2017).

    A fraction ``rate`` of the elements is set to α′ = −α·λ, SELU's limit at −∞; then all go through a·x + b with
    a = ((1 − rate)·(1 + rate·α′²))^−½ and b = −a·α′·rate.

    Raises:
        ValueError: a rate outside [0, 1].
    """

    _limit: ClassVar[float] = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
    rate: Fraction
    noise_shape: NoiseShape = None
    seed: random.Seed = None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop elements while training."""
        if not training or not self.rate:
            return inputs
        self._check_inputs((inputs,))
        own = self.noise_shape or inputs.shape
        shape = [size if given is None else given for given, size in zip(own, inputs.shape, strict=True)]
        keep = torch.rand(shape, device=inputs.device, generator=self._generator(inputs)) >= self.rate
        a = ((1 - self.rate) * (1 + self.rate * self._limit**2)) ** -0.5
        y: Tensor = a * torch.where(keep, inputs, self._limit) - a * self._limit * self.rate
        return y


class ActivityRegularization(_OneTensor, Layer):
    """Passes the inputs on and adds l1·Σ|x| + l2·Σx², divided by the batch size, to the loss."""

    supports_masking = True
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        self.activity_regularizer = L1L2(self.l1, self.l2)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the inputs."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return l1 and l2, of which the regularizer is made."""
        given = super().get_config()
        given.pop("activity_regularizer", None)
        return given
