"""Random changes of what pixels are: brightness, contrast, hue, saturation, sharpness, tones."""

from typing import Annotated, Any

import torch
from torch import Tensor

from convia import config, pixels, random
from convia.args import Convert, Fraction, PositiveInt, field, whole_tuple
from convia.errors import explain
from convia.layers.augmentation import Augmentation, Probability, ValueRange, factor_range, per_image
from convia.layers.images import DataFormat, ImageLayer

__all__ = [
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Solarization",
]

_BYTES = (0, 255)
_Signed = Annotated[Any, Convert(factor_range(-1, 1))]
_FromZero = Annotated[Any, Convert(factor_range(0, 1, mirrored=False))]


class _Factor(Augmentation):
    """Base of changes with one factor per image, drawn evenly from ``factor``."""

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the factors."""
        factor: Any = self.factor
        return self.uniform(images, images.shape[0], low=factor[0], high=factor[1])


class RandomBrightness(_Factor):
    """Adds the same to all pixels of an image: a fraction, drawn from ``factor``, of the range of values.

    Args:
        factor: a range within [−1, 1], one number f for (−f, f).
        value_range: of the pixels; results are cut to it.
    """

    factor: _Signed
    value_range: ValueRange = _BYTES
    seed: random.Seed = None
    data_format: DataFormat = field(default=None, kw_only=True)

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Change the brightness."""
        low, high = self.value_range
        changed: Tensor = (images + per_image(drawn, images) * (high - low)).clamp(low, high)
        return changed


class RandomContrast(Augmentation):
    """(x − x̄)·c + x̄ with the mean x̄ of each channel of each image and c drawn from [1 − lower, 1 + upper].

    Args:
        factor: (lower, upper) within [0, 1]; one number f for (0, f).
        value_range: of the pixels; results are cut to it.
    """

    factor: Probability
    value_range: ValueRange = _BYTES
    seed: random.Seed = None
    data_format: DataFormat = field(default=None, kw_only=True)

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the factors c."""
        return self.uniform(images, images.shape[0], low=1 - self.factor[0], high=1 + self.factor[1])

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Change the contrast."""
        mean = images.mean((2, 3), keepdim=True)
        return ((images - mean) * per_image(drawn, images) + mean).clamp(*self.value_range)


class RandomHue(_Factor):
    """Turns the hue by up to half of the color circle, in both directions.

    Args:
        factor: a range within [0, 1], one number f for (0, f); 1 is half of the circle.
        value_range: of the pixels.
    """

    factor: Probability
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw turns."""
        return self.signs(images, images.shape[0]) * super().draw(images) * 0.5

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Turn the hue."""
        hsv = pixels.rgb_to_hsv(pixels.rescale(images, self.value_range, (0, 1)))
        hsv[:, :1] += per_image(drawn, images)
        return pixels.rescale(pixels.hsv_to_rgb(hsv).clamp(0, 1), (0, 1), self.value_range)


class RandomSaturation(_Factor):
    """Multiplies the saturation by f / (1 − f): 0 makes gray, 0.5 changes nothing, 1 makes vivid.

    Args:
        factor: a range within [−1, 1], one number f for (−f, f); negative ones make gray, too.
        value_range: of the pixels.
    """

    factor: _Signed
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Change the saturation."""
        hsv = pixels.rgb_to_hsv(images)
        scale = per_image(drawn / (1 - drawn + config.epsilon()), images)
        hsv[:, 1:2] = (hsv[:, 1:2] * scale).clamp(*self.value_range)
        return pixels.hsv_to_rgb(hsv)


class RandomColorDegeneration(_Factor):
    """Mixes images with their gray versions: 0 changes nothing, 1 makes gray.

    Args:
        factor: a range within [−1, 1], one number f for (−f, f).
        value_range: of the pixels; results are cut to it.
    """

    factor: _Signed
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Mix."""
        mixed = images + per_image(drawn, images) * (pixels.grayscale(images) - images)
        return mixed.clamp(*self.value_range)


class RandomSharpness(_Factor):
    """Mixes images with smoothed versions: 0 gives those, 0.5 changes nothing, 1 sharpens.

    Args:
        factor: a range within [0, 1], one number f for (0, f).
        value_range: of the pixels; results are cut to it.
    """

    factor: Probability
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Mix."""
        mixed = images + (1 - 2 * per_image(drawn, images)) * (pixels.smooth(images) - images)
        return mixed.clamp(*self.value_range)


class RandomPosterization(Augmentation):
    """Keeps only the upper bits of the values.

    Args:
        factor: how many of 8 bits to keep: a range (its end excluded), one number for (1, number).
        value_range: of the pixels.
    """

    factor: Annotated[Any, Convert(factor_range(1, 8))]
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the numbers of bits to drop."""
        low, high = map(int, self.factor)
        source = random.generator(self.generator, images.device)
        bits = torch.randint(low, max(high, low + 1), images.shape[:1], device=images.device, generator=source)
        return (8 - bits).to(torch.uint8)

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Drop the bits."""
        whole = pixels.rescale(images, self.value_range, _BYTES).to(torch.uint8)
        shift = drawn.view(-1, 1, 1, 1)
        return pixels.rescale(((whole >> shift) << shift).to(images.dtype), _BYTES, self.value_range)


class RandomGrayscale(Augmentation):
    """Makes images gray, all channels alike, with a probability.

    Args:
        factor: the probability.
    """

    factor: Fraction = 0.5
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw which images to change."""
        return self.uniform(images, images.shape[0]) < self.factor

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Make them gray."""
        return torch.where(drawn.view(-1, 1, 1, 1), pixels.grayscale(images), images)


class RandomInvert(Augmentation):
    """Makes negatives, maximum − x, with a probability.

    Args:
        factor: the probability, or a range from which to draw it.
        value_range: of the pixels.
    """

    factor: Probability = 1.0
    value_range: ValueRange = _BYTES
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw which images to change."""
        return self.chosen(images, self.factor)

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Invert them."""
        return torch.where(drawn.view(-1, 1, 1, 1), self.value_range[1] - images, images)


def _odd_pair(value: Any, owner: Any, name: str) -> tuple[int, ...]:
    sizes = whole_tuple(value, 2, owner, name)
    if not all(size % 2 for size in sizes):
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "odd numbers"))
    return sizes


class RandomGaussianBlur(Augmentation):
    """Blurs with a Gaussian, with a probability.

    Args:
        factor: the probability, or a range from which to draw it.
        kernel_size: odd number of pixels, or two along x and y.
        sigma: range of the standard deviation in pixels within [0, 1]; one number s for (0, s).
        value_range: of the pixels; results are cut to it.
    """

    factor: Probability = 1.0
    kernel_size: Annotated[Any, Convert(_odd_pair)] = 3
    sigma: Probability = 1.0
    value_range: ValueRange = _BYTES
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """Draw which images to blur, and the standard deviations along x and y."""
        return self.chosen(images, self.factor), self.uniform(images, 2, low=self.sigma[0], high=self.sigma[1]) + 1e-6

    def transform(self, images: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Blur them."""
        chosen, sigma = drawn
        blurred = pixels.gaussian_blur(images, self.kernel_size, sigma.to(images.dtype))
        return torch.where(chosen.view(-1, 1, 1, 1), blurred, images).clamp(*self.value_range)


class Solarization(Augmentation):
    """Adds to all pixels, then inverts those that are not below a threshold, both on the scale from 0 to 255.

    Args:
        addition_factor: range of the addition as a fraction of 255, one number f for (0, f).
        threshold_factor: range of the threshold.
        value_range: of the pixels.
    """

    addition_factor: _FromZero = 0.0
    threshold_factor: _FromZero = 0.0
    value_range: ValueRange = _BYTES
    seed: random.Seed = None
    data_format: DataFormat = field(default=None, kw_only=True)

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, ...]:
        """Draw additions and thresholds."""
        count = images.shape[0]
        ranges = self.addition_factor, self.threshold_factor
        # the lower ends are not multiplied by 255 in Keras either
        return tuple(self.uniform(images, count, low=low, high=high * 255) for low, high in ranges)

    def transform(self, images: Tensor, drawn: tuple[Tensor, ...]) -> Tensor:
        """Solarize."""
        addition, threshold = (per_image(values, images) for values in drawn)
        bright = (pixels.rescale(images, self.value_range, _BYTES) + addition).clamp(*_BYTES)
        return pixels.rescale(torch.where(bright < threshold, bright, 255 - bright), _BYTES, self.value_range)


class AutoContrast(ImageLayer):
    """Stretches every channel of every image to the whole range of values, in training and inference.

    Args:
        value_range: of the pixels.
    """

    always = True
    value_range: ValueRange = _BYTES
    data_format: DataFormat = field(default=None, kw_only=True)

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Stretch; channels with a single value stay."""
        low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        spread = high - low
        start, end = self.value_range
        stretched = (images - low) / torch.where(spread > 0, spread, 1) * (end - start) + start
        return torch.where(spread > 0, stretched, images)


class Equalization(ImageLayer):
    """Makes the histogram of each channel (over the whole batch, as in Keras) as flat as possible.

    Args:
        value_range: of the pixels.
        bins: of the histogram.
    """

    value_range: ValueRange = _BYTES
    bins: PositiveInt = 256
    data_format: DataFormat = None

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Equalize."""
        flat = pixels.equalize(pixels.rescale(images, self.value_range, _BYTES), self.bins)
        return pixels.rescale(flat, _BYTES, self.value_range)


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Brings out local contrast (CLAHE), in training and inference: equalizes the histograms of tiles of each channel.

    Images of whole numbers stay such.

    Args:
        value_range: of the pixels.
        clip_limit: how many times as many pixels as the mean a value may have in a tile before it is cut off, which
            keeps the noise of even areas low; 0 for no limit.
        tile_grid_size: numbers of tiles (rows, columns).
    """

    always = True
    value_range: ValueRange = _BYTES
    clip_limit: float = 4.0
    tile_grid_size: Annotated[Any, Convert(lambda value, owner, name: whole_tuple(value, 2, owner, name))] = (8, 8)
    data_format: DataFormat = None

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Equalize."""
        given = pixels.rescale(images, self.value_range, _BYTES)
        flat = pixels.contrast_limited_equalize(given, self.clip_limit, self.tile_grid_size)
        return pixels.rescale(flat, _BYTES, self.value_range)

    def _transformed(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        done = super()._transformed(batch, training)
        return {**done, "images": done["images"].to(batch["images"].dtype)}


class RandomColorJitter(Augmentation):
    """Changes brightness, contrast, saturation and hue, in this order; None leaves one out.

    Args:
        value_range: of the pixels.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: see the layers RandomBrightness, ….
    """

    value_range: ValueRange = _BYTES
    brightness_factor: Any = None
    contrast_factor: Any = None
    saturation_factor: Any = None
    hue_factor: Any = None
    seed: random.Seed = None
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds: dict[str, Any] = {
            "brightness": RandomBrightness,
            "contrast": RandomContrast,
            "saturation": RandomSaturation,
            "hue": RandomHue,
        }
        self._steps = [
            kind(getattr(self, f"{name}_factor"), self.value_range, seed=self.generator)
            for name, kind in kinds.items()
            if getattr(self, f"{name}_factor") is not None
        ]

    def draw(self, images: Tensor, training: bool = True) -> list[Any]:
        """Draw the parameters of every step."""
        return [step.draw(images) for step in self._steps]

    def transform(self, images: Tensor, drawn: list[Any]) -> Tensor:
        """Apply the steps."""
        for step, parameters in zip(self._steps, drawn, strict=True):
            images = step.transform(images, parameters)
        return images
