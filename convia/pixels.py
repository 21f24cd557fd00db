"""Moving and mixing pixels: resize, crop, warp, blur, color. All on batches (N, C, H, W); nothing is random here."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.errors import explain

__all__ = ["INTERPOLATIONS", "center_crop", "crop_to_aspect", "pad_to_aspect", "resize"]

INTERPOLATIONS = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}  # ours → torch's


def resize(images: Tensor, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False) -> Tensor:
    """Resize to (H′, W′); pixel centers are at half coordinates. Whole-number types are rounded.

    Raises:
        ValueError: an unknown interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            explain("resize, argument 'interpolation'", repr(interpolation), f"one of {[*INTERPOLATIONS]}")
        )
    smooth = interpolation != "nearest"
    floats = images if images.dtype in (torch.float32, torch.float64) else images.float()
    resized = F.interpolate(
        floats,
        size,
        mode=INTERPOLATIONS[interpolation],
        align_corners=False if smooth else None,
        antialias=antialias and smooth,
    )
    if images.is_floating_point():
        return resized.to(images.dtype)
    bounds = torch.iinfo(images.dtype)
    return resized.round().clamp(bounds.min, bounds.max).to(images.dtype)


def _aspect_window(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) of the sides ratio of ``size`` that would follow from the image's width and from its height."""
    return int(width * size[0] / size[1]), int(height * size[1] / size[0])


def center_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Cut out the middle; an odd remainder is left at the bottom and right."""
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


def crop_to_aspect(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut out the largest middle part whose sides have the ratio of ``size``."""
    height, width = images.shape[-2:]
    tall, wide = _aspect_window(height, width, size)
    return center_crop(images, max(min(height, tall), 1), max(min(width, wide), 1))


def pad_to_aspect(images: Tensor, size: tuple[int, int], value: float = 0.0) -> Tensor:
    """Add equal borders, above and below or left and right, until the sides have the ratio of ``size``."""
    height, width = images.shape[-2:]
    tall, wide = _aspect_window(height, width, size)
    vertical, horizontal = (max(height, tall) - height) // 2, (max(width, wide) - width) // 2
    return F.pad(images, (horizontal, horizontal, vertical, vertical), value=value)
