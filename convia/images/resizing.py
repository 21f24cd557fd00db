"""Resizing images as tf.image.resize does: half-pixel centres, no antialiasing."""

import functools
import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from convia import config, ops
from convia.errors import explain, nearest
from convia.images.kernels import native

Image = npt.NDArray[Any]


def _keys(x: Image) -> Image:
    """Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, with a = −1/2."""
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2)


def _mitchell(x: Image) -> Image:
    """Mitchell and Netravali, "Reconstruction Filters in Computer Graphics", 1988, with B = C = 1/3."""
    return np.where(x < 1, ((7 * x - 12) * x * x + 16 / 3) / 6, (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6)


def _lanczos(radius: int) -> Callable[[Image], Image]:
    return lambda x: np.sinc(x) * np.sinc(x / radius)


# interpolation → (radius in pixels, weight at a distance from 0 to the radius)
_KERNELS: dict[str, tuple[float, Callable[[Image], Image]]] = {
    "bilinear": (1, lambda x: 1 - x),
    "bicubic": (2, _keys),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
    "gaussian": (1.5, lambda x: np.exp(-2 * x * x)),  # a standard deviation of radius / 3
    "mitchellcubic": (2, _mitchell),
}
INTERPOLATIONS = (*_KERNELS, "nearest", "area")


def resize(image: npt.ArrayLike, size: tuple[int, int], interpolation: str = "bilinear") -> Image:
    """Return an image (H, W, C) as float32 (size[0], size[1], C).

    Args:
        image: any numbers.
        size: (height, width).
        interpolation: one of :data:`INTERPOLATIONS`.

    Raises:
        ValueError: not one image, or an unknown interpolation.
    """
    pixels = np.asarray(image)
    check_interpolation("resize", interpolation)
    if pixels.ndim != 3 or len(size) != 2:
        received = f"an image of shape {pixels.shape} and size={size}"
        raise ValueError(explain("resize", received, "an image (H, W, C) and size=(height, width)"))
    own, size = pixels.shape[:2], (int(size[0]), int(size[1]))
    kernels = native()
    if own == size:
        return pixels.astype(np.float32)
    if interpolation == "bilinear" and pixels.dtype == np.uint8 and pixels.size and kernels is not None:
        result = np.empty((*size, pixels.shape[2]), np.float32)
        axes = neighbours(own[0], size[0]), neighbours(own[1], size[1])
        kernels.resize(np.ascontiguousarray(pixels), result, *axes[0], *axes[1])
        return result
    pixels = pixels.astype(np.float32)
    if interpolation == "bilinear":  # OpenCV's weights are the same, and it is many times faster
        return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, -1)
    rows, columns = (_weights(*axis, interpolation) for axis in zip(pixels.shape[:2], size, strict=True))
    resized: Image = np.einsum("yh,hwc,xw->yxc", rows, pixels, columns, optimize=True)
    return resized


def smart_resize(
    x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Any:
    """Cut the largest centred part in the proportions of ``size`` out of images, and resize that.

    Args:
        x: an image (H, W, C) or a batch (N, H, W, C), array or tensor; the result is of the same kind and type.
        size: (height, width).
        interpolation: one that ``ops.image.resize`` has.
        data_format: "channels_last", or "channels_first" for (C, H, W) and (N, C, H, W).

    Raises:
        ValueError: neither an image nor a batch, a size that is not two numbers, an unknown interpolation.
    """
    given = x if isinstance(x, Tensor) else np.asarray(x)
    if given.ndim not in (3, 4) or len(size) != 2:
        received = f"images of shape {tuple(given.shape)} and size={size}"
        raise ValueError(explain("smart_resize", received, "an image or a batch of them, and size=(height, width)"))
    last = config.standardize_data_format(data_format) == "channels_last"
    cut = _middle(given, size, -3 if last else -2)
    done = ops.image.resize(torch.as_tensor(cut), size, interpolation, data_format=data_format)
    return done if isinstance(x, Tensor) else done.numpy()


def _middle(images: Any, size: tuple[int, int], axis: int) -> Any:
    """Return the largest centred part in the proportions of ``size``; ``axis`` is the first of height and width."""
    height, width = images.shape[axis], images.shape[axis + 1]
    crop_height = max(min(height, int(width * size[0] / size[1])), 1)
    crop_width = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    window = [..., slice(top, top + crop_height), slice(left, left + crop_width)]
    return images[(*window, slice(None)) if axis == -3 else tuple(window)]


def resize_cropped(image: npt.ArrayLike, size: tuple[int, int], interpolation: str = "bilinear") -> Image:
    """Cut the largest centred part in the proportions of ``size`` out of an image (H, W, C), and resize that."""
    return resize(_middle(np.asarray(image), size, -3), size, interpolation)


def resize_with_pad(image: npt.ArrayLike, size: tuple[int, int], interpolation: str = "bilinear") -> Image:
    """Resize an image (H, W, C) to fit into ``size`` undistorted, centred on zeros (tf.image.resize_with_pad)."""
    pixels = np.asarray(image)
    height, width = np.array(pixels.shape[:2], np.float32)
    ratio = max(height / np.float32(size[0]), width / np.float32(size[1]))
    fitted = (max(math.floor(height / ratio), 1), max(math.floor(width / ratio), 1))
    top = max(math.floor((size[0] - height / ratio) / 2), 0)
    left = max(math.floor((size[1] - width / ratio) / 2), 0)
    canvas = np.zeros((*size, pixels.shape[2]), np.float32)
    canvas[top : top + fitted[0], left : left + fitted[1]] = resize(pixels, fitted, interpolation)
    return canvas


def check_interpolation(who: str, interpolation: Any) -> None:
    """Raise ValueError for an interpolation that does not exist."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            explain(
                f"{who}, argument 'interpolation'",
                repr(interpolation),
                f"one of {list(INTERPOLATIONS)}",
                nearest(str(interpolation), INTERPOLATIONS),
            )
        )


@functools.lru_cache(maxsize=256)
def neighbours(size: int, target: int) -> tuple[Image, Image, Image]:
    """Return the old pixels before and behind each new one of an axis, and the weights (float32) of the latter."""
    place = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0, size - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), (place - first).astype(np.float32)


@functools.lru_cache(maxsize=64)
def _weights(size: int, target: int, interpolation: str) -> Image:
    """Return the matrix (target, size) of what each old pixel of an axis gives to each new one; rows sum to 1."""
    scale = size / target
    if interpolation == "nearest":
        chosen = np.minimum(np.floor((np.arange(target) + 0.5) * scale).astype(int), size - 1)
        picked: Image = np.eye(size, dtype=np.float32)[chosen]
        return picked
    if interpolation == "area":
        edges = np.arange(target + 1)[:, None] * scale
        overlap = np.minimum(edges[1:], np.arange(1, size + 1)) - np.maximum(edges[:-1], np.arange(size))
        weights = np.maximum(overlap, 0)
    else:
        radius, kernel = _KERNELS[interpolation]
        centres = (np.arange(target)[:, None] + 0.5) * scale
        distance = np.abs(centres - (np.arange(size) + 0.5))
        weights = np.where(distance < radius, kernel(np.minimum(distance, radius)), 0)
    shares: Image = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares
