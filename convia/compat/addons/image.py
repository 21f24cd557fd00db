"""``tensorflow_addons.image``: images turned, shifted, blurred, and with holes."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.compat.tensorflow.contrib import _rotate as rotate
from convia.compat.tensorflow.contrib import _translate as translate
from convia.compat.tensorflow.contrib import transform
from convia.compat.tensorflow.door import api, given, numbers


def _pair(value: Any) -> tuple[int, int]:
    found = numbers(value)
    return (found[0], found[-1])


def _windowed(image: Any, rows: Tensor, columns: Tensor, padding: str, constant: Any) -> Tensor:
    """Return images (…, H, W, C) with each value replaced by a weighted sum of those around it."""
    image = given(image)
    x = image.float().reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2)
    tall, wide = (len(rows) - 1) // 2, (len(columns) - 1) // 2
    edges = (wide, len(columns) - 1 - wide, tall, len(rows) - 1 - tall)
    if padding.upper() == "CONSTANT":
        x = F.pad(x, edges, value=float(constant))
    elif padding.upper() == "SYMMETRIC":
        for axis, (before, after) in ((-1, edges[:2]), (-2, edges[2:])):
            size = x.shape[axis]
            x = torch.cat(
                [x.narrow(axis, 0, before).flip(axis), x, x.narrow(axis, size - after, after).flip(axis)], axis
            )
    else:
        x = F.pad(x, edges, mode="reflect")
    kernel = (rows[:, None] * columns).expand(x.shape[1], 1, -1, -1)
    found = F.conv2d(x, kernel, groups=x.shape[1]).permute(0, 2, 3, 1).reshape(image.shape)
    return found.to(image.dtype)


@api
def gaussian_filter2d(image: Any, filter_shape: Any = (3, 3), sigma: Any = 1.0, padding: str = "REFLECT",
                      constant_values: Any = 0) -> Any:  # fmt: skip
    """Return images blurred by Gaussian windows."""
    spread = sigma if isinstance(sigma, (list, tuple)) else (sigma, sigma)
    weights = []
    for size, width in zip(_pair(filter_shape), spread, strict=True):
        place = torch.arange(size) - size // 2
        weights.append(torch.softmax(-(place.float() ** 2) / (2 * float(width) ** 2), 0))
    return _windowed(image, weights[0], weights[1], padding, constant_values)


@api
def mean_filter2d(image: Any, filter_shape: Any = (3, 3), padding: str = "REFLECT", constant_values: Any = 0) -> Any:
    """Return images blurred by even windows."""
    rows, columns = (torch.full((n,), 1 / n) for n in _pair(filter_shape))
    return _windowed(image, rows, columns, padding, constant_values)


@api
def cutout(images: Any, mask_size: Any, offset: Any = (0, 0), constant_values: Any = 0) -> Any:
    """Return images (N, H, W, C) with a rectangle around (y, x) of one value; one place for all, or one per image."""
    images = given(images)
    centers = torch.as_tensor(offset).reshape(-1, 2).expand(len(images), 2)
    inside = []
    for axis, size in enumerate(_pair(mask_size)):
        place = torch.arange(images.shape[1 + axis])
        start = centers[:, axis, None] - size // 2
        inside.append((place >= start) & (place < start + size))
    hole = (inside[0][:, :, None] & inside[1][:, None, :])[..., None]
    return torch.where(hole, torch.as_tensor(constant_values, dtype=images.dtype), images)


@api
def random_cutout(images: Any, mask_size: Any, constant_values: Any = 0, seed: Any = None) -> Any:
    """Return images (N, H, W, C) with a rectangle at random of one value."""
    images = given(images)
    high = torch.tensor(images.shape[1:3])
    return cutout(images, mask_size, (torch.rand(len(images), 2) * high).long(), constant_values)


__all__ = ["cutout", "gaussian_filter2d", "mean_filter2d", "random_cutout", "rotate", "transform", "translate"]
