"""Random changes of where pixels are: flips, crops, rotations, zooms, shifts, shears, perspectives, distortions."""

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia import pixels, random
from convia.args import Convert, Fraction, PositiveInt, one_of
from convia.layers.augmentation import (
    Augmentation,
    FillMode,
    Interpolation,
    Probability,
    Range,
    ValueRange,
    checked,
    factor_range,
)
from convia.layers.images import DataFormat, with_size

__all__ = [
    "RandomCrop",
    "RandomElasticTransform",
    "RandomFlip",
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
]

_signed = factor_range(-1, 1)
_Signed = Annotated[Any, Convert(_signed)]
_KeptSigned = Annotated[Any, checked(_signed)]


class RandomFlip(Augmentation):
    """Mirrors every second image.

    Args:
        mode: "horizontal", "vertical", or "horizontal_and_vertical", where both happen together.
        seed: a whole number for a reproducible sequence.
        data_format: "channels_last", "channels_first" or None for the global setting.
    """

    _axes: ClassVar[dict[str, tuple[int, ...]]] = {
        "horizontal": (-1,),
        "vertical": (-2,),
        "horizontal_and_vertical": (-2, -1),
    }
    mode: Annotated[str, one_of("horizontal", "vertical", "horizontal_and_vertical")] = "horizontal_and_vertical"
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw which images to flip."""
        return self.uniform(images, images.shape[0], 1, 1, 1) <= 0.5

    def transform(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Flip them."""
        return torch.where(drawn, images.flip(self._axes[self.mode]), images)

    def transform_masks(self, masks: Tensor, drawn: Tensor) -> Tensor:
        """Flip masks alike."""
        return self.transform(masks, drawn)


class RandomCrop(Augmentation):
    """Cuts height × width pixels out of a random place, the same in a batch.

    Inference takes the largest middle part of the wanted ratio of sides and resizes it. So does training for
    images that are smaller than the crop, which cuts off less.
    """

    always = True
    height: PositiveInt
    width: PositiveInt
    seed: random.Seed = None
    data_format: DataFormat = None
    if not TYPE_CHECKING:  # by position, see Layer
        name: str | None = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[int, int] | None:
        """Draw the place of the upper left corner, None for the middle."""
        size = self.height, self.width
        room = [have - want for have, want in zip(images.shape[-2:], size, strict=True)]
        if not training:
            return None
        if min(room) <= 0:
            part = pixels.crop_to_aspect(images, size).shape[-2:]
            return (images.shape[-2] - part[0]) // 2, (images.shape[-1] - part[1]) // 2
        on_host = torch.empty(0, device="cpu")
        return int(self.uniform(on_host, high=room[0] + 1)), int(self.uniform(on_host, high=room[1] + 1))

    def transform(self, images: Tensor, drawn: tuple[int, int] | None) -> Tensor:
        """Crop, and resize what has not the wanted size."""
        size = self.height, self.width
        if drawn is None:
            images = pixels.crop_to_aspect(images, size)
        else:
            images = images[..., drawn[0] : drawn[0] + size[0], drawn[1] : drawn[1] + size[1]]
        return images if images.shape[-2:] == size else pixels.resize(images, size)

    def transform_masks(self, masks: Tensor, drawn: tuple[int, int] | None) -> Tensor:
        """Crop masks alike."""
        return self.transform(masks, drawn)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with height and width replaced."""
        return with_size(input_shape, self.height, self.width, self.data_format)


class _Warp(Augmentation):
    """Base of affine and projective maps: a subclass draws their matrices, see ``pixels.warp``."""

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Warp the images."""
        return self._warped(images, drawn, str(self.interpolation))

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Warp masks without mixing their numbers."""
        return self._warped(masks, drawn, "nearest")

    def _warped(self, images: Tensor, drawn: Tensor, interpolation: str) -> Tensor:
        how = {"interpolation": interpolation, "fill_mode": self.fill_mode, "fill_value": self.fill_value}
        return pixels.warp(images, drawn, **how)


class RandomRotation(_Warp):
    """Rotates about the center.

    Args:
        factor: range of angles as fractions of 2π, one number f for (−f, f); positive is counter-clockwise.
        fill_mode: what is outside of the image: "reflect", "wrap", "constant" or "nearest".
        interpolation: "nearest" or "bilinear".
        fill_value: for the fill mode "constant".
    """

    factor: _Signed
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: random.Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the angles, and return their matrices."""
        low, high = (factor * 360 for factor in self.factor)
        angle = self.uniform(images, images.shape[0], low=low, high=high) * (math.pi / 180)
        return pixels.about_center(angle.cos(), -angle.sin(), angle.sin(), angle.cos(), images)


class RandomZoom(_Warp):
    """Zooms about the center: 0.2 shows 20 % more (smaller objects), −0.2 shows 20 % less.

    Args:
        height_factor: range of the change of height, one number f for (−f, f).
        width_factor: of the width; None keeps the ratio of sides.
        fill_mode, interpolation, fill_value: see RandomRotation.
    """

    height_factor: _KeptSigned
    width_factor: _KeptSigned = None
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: random.Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the zooms, and return their matrices."""
        tall = 1 + _drawn(self, images, "height_factor")
        wide = tall if self.width_factor is None else 1 + _drawn(self, images, "width_factor")
        zero = torch.zeros_like(tall)
        return pixels.about_center(wide, zero, zero, tall, images)


class RandomTranslation(_Warp):
    """Shifts images.

    Args:
        height_factor: range of the shift downwards as a fraction of the height, one number f for (−f, f).
        width_factor: range of the shift to the right as a fraction of the width.
        fill_mode, interpolation, fill_value: see RandomRotation.
    """

    height_factor: _KeptSigned
    width_factor: _KeptSigned
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: random.Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the shifts, and return their matrices."""
        down = _drawn(self, images, "height_factor") * images.shape[-2]
        right = _drawn(self, images, "width_factor") * images.shape[-1]
        one, zero = torch.ones_like(down), torch.zeros_like(down)
        return torch.stack([one, zero, -right, zero, one, -down], -1)


def _drawn(layer: Augmentation, images: Tensor, name: str) -> Tensor:
    low, high = _signed(getattr(layer, name), layer, name)
    return layer.uniform(images, images.shape[0], low=low, high=high)


class RandomShear(_Warp):
    """Shears: shifts each row in proportion to its number, and each column.

    Args:
        x_factor: range of the shift to the left per row, one number f for (−f, f); its sign is drawn.
        y_factor: range of the shift upwards per column.
        fill_mode, interpolation, fill_value: see RandomRotation.
    """

    x_factor: _Signed = 0.0
    y_factor: _Signed = 0.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> Tensor:
        """Draw the shears, and return their matrices."""
        sign = self.signs(images, images.shape[0])
        down, right = (sign * _drawn(self, images, name) for name in ("y_factor", "x_factor"))
        one, zero = torch.ones_like(sign), torch.zeros_like(sign)
        return torch.stack([one, right, zero, down, one, zero], -1)


class RandomPerspective(_Warp):
    """Looks at images from aside: the corners move independently.

    Args:
        factor: probability of the change, or a range from which to draw it.
        scale: from 0 to 1, how far corners move: by up to half of their coordinates for 1.
        interpolation, fill_value: see RandomRotation; what is outside is constant.
    """

    fill_mode = "constant"
    factor: Probability = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """Draw which images to change, and matrices."""
        chosen = self.chosen(images, self.factor)
        moves = self.uniform(images, images.shape[0], 4, 2, low=-0.5 * self.scale, high=0.5 * self.scale)
        right, bottom = images.shape[-1] - 1, images.shape[-2] - 1
        corners = [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]]
        start = torch.tensor(corners, device=images.device).expand(images.shape[0], 4, 2)
        return chosen, pixels.homography(start + start * moves, start)

    def _warped(self, images: Tensor, drawn: Any, interpolation: str) -> Tensor:
        chosen, matrices = drawn
        return torch.where(chosen.view(-1, 1, 1, 1), super()._warped(images, matrices, interpolation), images)


class RandomElasticTransform(Augmentation):
    """Moves pixels by a smooth random field (Simard et al. 2003).

    Args:
        factor: probability of the change, or a range from which to draw it.
        scale: range of the strength s from 0 to 1; the field is drawn with standard deviation σ = 0.05·s·(shorter
            side), smoothed with a Gaussian of the same σ, and multiplied by 0.1·s·(longer side).
        interpolation, fill_mode, fill_value: see RandomRotation.
        value_range: of the pixels.
    """

    factor: Probability = 1.0
    scale: Annotated[Range, Convert(factor_range(0, 1))] = 1.0  # type: ignore[assignment]
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    value_range: ValueRange = (0, 255)
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor] | None:
        """Draw which images to change, and shifts (N, 2, H, W) in pixels along x and y."""
        if not self.factor[1] or not self.scale[1]:
            return None
        chosen = self.chosen(images, self.factor)
        on_host = torch.empty(0, device="cpu")
        strength = float(self.uniform(on_host, low=self.scale[0], high=self.scale[1]))
        (count, _, height, width), device = images.shape, images.device
        source = random.generator(self.generator, device)
        noise = [torch.randn((count, height, width), device=device, generator=source) for _ in range(2)]
        sigma = strength * 0.05 * min(height, width)
        size = int(6 * sigma) | 1
        field = pixels.gaussian_blur(torch.stack(noise, 1) * sigma, (size, size), (sigma, sigma))
        return chosen, field * (0.1 * strength * max(height, width))

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Move the pixels."""
        return images if drawn is None else self._moved(images, drawn, self.interpolation).clamp(*self.value_range)

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Move masks without mixing their numbers."""
        return masks if drawn is None else self._moved(masks, drawn, "nearest")

    def _moved(self, images: Tensor, drawn: tuple[Tensor, Tensor], interpolation: str) -> Tensor:
        chosen, shifts = drawn
        x, y = pixels.pixel_grid(images)
        moved = pixels.sample(
            images, x + shifts[:, 0], y + shifts[:, 1], interpolation, self.fill_mode, self.fill_value
        )
        return torch.where(chosen.view(-1, 1, 1, 1), moved, images)
