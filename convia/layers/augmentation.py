"""The base of random changes of images: ranges of factors, draws, sequences of changes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor

from convia import random, registry
from convia.args import Convert, converter, one_of
from convia.errors import explain
from convia.layer import Layer
from convia.layers.images import ImageLayer

__all__ = ["Augmentation", "Pipeline"]

Range = tuple[float, float]
Interpolation = Annotated[str, one_of("nearest", "bilinear")]
FillMode = Annotated[str, one_of("reflect", "wrap", "constant", "nearest", "mirror")]


def factor_range(low: float, high: float, mirrored: bool = True) -> Callable[[Any, Any, str], Range]:
    """Make a converter: two numbers are a range, one number f is the range from −f (but not below ``low``) to f.

    ``mirrored=False`` makes it the range from 0 to f.
    """

    def convert(value: Any, owner: Any, name: str) -> Range:
        pair = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        if not all(isinstance(v, (int, float)) and low <= v <= high for v in pair) or len(pair) not in (1, 2):
            expected = f"a number, or a pair of them, from {low} to {high}"
            raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), expected))
        if len(pair) == 2:
            return min(pair), max(pair)
        return (max(-abs(value), low) if mirrored else 0, abs(value))

    return convert


Probability = Annotated[Any, Convert(factor_range(0, 1))]


def checked(convert: Callable[[Any, Any, str], Any]) -> Convert:
    """Make a :class:`Convert` that checks a value and keeps it as it was given."""

    def keep(value: Any, owner: Any, name: str) -> Any:
        if value is not None:
            convert(value, owner, name)
        return value

    return Convert(keep)


def _value_range(value: Any, owner: Any, name: str) -> Range:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        received = f"{type(owner).__name__}, argument {name!r}"
        raise ValueError(explain(received, repr(value), "two numbers, such as (0, 255) or (0, 1)"))
    return min(value), max(value)


ValueRange = Annotated[Any, Convert(_value_range)]


class Augmentation(ImageLayer):
    """Base of random changes. A subclass declares ``seed`` where Keras has it in the order of arguments.

    None draws from torch's global generator, a whole number starts a sequence of its own.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        seed: Any = self.seed
        self.generator = random.SeedGenerator(seed) if isinstance(seed, int) else seed

    def uniform(self, images: Tensor, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw evenly from [low, high) on the images' device, in float32."""
        source = random.generator(self.generator, images.device)
        return torch.rand(shape, device=images.device, generator=source).mul_(high - low).add_(low)

    def chosen(self, images: Tensor, probability: Range) -> Tensor:
        """Draw which images to change, shape (N,), with a probability that is itself drawn from a range."""
        count = images.shape[0]
        wanted = self.uniform(images, count, low=probability[0], high=probability[1])
        return self.uniform(images, count) < wanted

    def signs(self, images: Tensor, *shape: int) -> Tensor:
        """Draw −1 or 1 with equal probability."""
        return torch.where(self.uniform(images, *shape) > 0.5, -1.0, 1.0)


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Shape one number per image such that it is broadcast to (N, C, H, W), in the images' type."""
    return values.view(-1, 1, 1, 1).to(images.dtype)


class Pipeline(Layer):
    """Calls layers one after another: a recipe of preprocessing that is neither a model nor has weights of its own."""

    layers: Annotated[Any, converter(lambda layers: [registry.deserialize(layer) for layer in layers])]
    if not TYPE_CHECKING:  # by position, see Layer
        name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", True)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pass the inputs through all layers."""
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the layers' configs and the name."""
        return {"layers": registry.serialize(self.layers), "name": self.name}
