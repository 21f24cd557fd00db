"""Maps of evidence laid over the image they are about."""

from typing import Any

import cv2
import numpy as np
import torch

from convia.errors import explain
from convia.explain.inside import Array

# (position, red, green, blue) of the colours of heat, from matplotlib's "inferno", whose lightness tells the order
_HEAT = np.array(
    [
        (0.0, 0, 0, 4),
        (0.125, 31, 12, 72),
        (0.25, 85, 15, 109),
        (0.375, 136, 34, 106),
        (0.5, 186, 54, 85),
        (0.625, 227, 89, 51),
        (0.75, 249, 140, 10),
        (0.875, 249, 201, 50),
        (1.0, 252, 255, 164),
    ]
)


def overlay(image: Any, heat: Any, strength: float = 0.6) -> Array:
    """Lay a map over an image; the stronger the evidence, the more the colours cover.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) of any range of values; it is stretched to black and white.
        heat: (h, w), of any resolution; negative values count as none.
        strength: how much the strongest evidence covers, from 0 to 1.

    Returns:
        (H, W, 3), uint8.

    Raises:
        ValueError: other ranks, or a strength out of range.
    """
    pixels, values = _array(image), np.maximum(_array(heat), 0)
    if pixels.ndim not in (2, 3) or values.ndim != 2 or not 0 <= strength <= 1:
        received = f"an image {pixels.shape}, a map {values.shape} and strength={strength}"
        raise ValueError(explain("overlay", received, "an image (H, W, C), a map (h, w) and a strength from 0 to 1"))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, 2)
    low, high = float(pixels.min()), float(pixels.max())
    grey = (pixels - low) / (high - low) if high > low else np.zeros_like(pixels)
    values = cv2.resize(values, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_LINEAR)
    values = (values / max(float(values.max()), 1e-30)).astype(np.float32)
    colours = np.stack(
        [np.interp(values.astype(np.float64), _HEAT[:, 0], _HEAT[:, channel]) / 255 for channel in (1, 2, 3)], -1
    )
    cover = strength * np.sqrt(values)[..., None]
    return np.round(255 * (grey * (1 - cover) + colours * cover)).astype(np.uint8)


def _array(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float32)
