"""Images, single or in batches: size, crops, colors, filters, likeness; warping comes from ``convia.ops.warp``."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.errors import explain
from convia.ops import warp
from convia.ops.core import saturate_cast
from convia.ops.door import public, publish, result_dtype, tensor
from convia.ops.spatial import conv, each_axis
from convia.ops.warp import *  # noqa: F403
from convia.ops.warp import batch_of_images, channel_axis_of

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}
_KERNELS_OF = {"lanczos3": 3, "lanczos5": 5}


@public(1)
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Images of another height and width; whole numbers stay whole, rounded.

    Args:
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio, pad_to_aspect_ratio: keep the images' proportions by leaving out, or by filling up with
            ``fill_value``, what does not fit.

    Raises:
        ValueError: an unknown interpolation, a size that is not (height, width), cropping and padding at once.
    """
    if interpolation not in (*_MODES, *_KERNELS_OF):
        raise ValueError(explain("resize, argument 'interpolation'", repr(interpolation), f"{[*_MODES, *_KERNELS_OF]}"))
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(explain("resize, argument 'size'", repr(size), "(height, width), both greater than 0"))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(explain("resize", "crop_to_aspect_ratio and pad_to_aspect_ratio", "one of them"))
    if fill_mode != "constant":
        raise ValueError(explain("resize, argument 'fill_mode'", repr(fill_mode), "'constant'"))
    x, back = batch_of_images("resize", images, data_format, channels="first")
    exact = x if x.dtype in (torch.float32, torch.float64) else x.float()
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        exact = _to_aspect_ratio(exact, tuple(size), crop_to_aspect_ratio, fill_value)
    result = _interpolate(exact, tuple(size), interpolation, antialias)
    if not images.is_floating_point():
        result = saturate_cast(torch.round(result), images.dtype)
    return back(result.to(images.dtype))


def _interpolate(x: Tensor, size: tuple[int, int], interpolation: str, antialias: bool) -> Tensor:
    if interpolation in _KERNELS_OF:
        scale = [new / old for new, old in zip(size, x.shape[2:], strict=True)]
        shape = (*x.shape[:2], *size)
        resized: Tensor = warp.scale_and_translate(x, shape, scale, [0.0, 0.0], (2, 3), interpolation, antialias)
        return resized
    if interpolation == "nearest":
        return F.interpolate(x, size, mode=_MODES[interpolation])
    return F.interpolate(x, size, mode=_MODES[interpolation], align_corners=False, antialias=antialias)


def _to_aspect_ratio(x: Tensor, size: tuple[int, int], crop: bool, fill_value: float) -> Tensor:
    height, width = x.shape[2:]
    wanted = int(width * size[0] / size[1]), int(height * size[1] / size[0])
    if crop:
        rows, columns = (max(min(have, want), 1) for have, want in zip((height, width), wanted, strict=True))
        return x.narrow(2, (height - rows) // 2, rows).narrow(3, (width - columns) // 2, columns)
    below, beside = (max(want - have, 0) // 2 for have, want in zip((height, width), wanted, strict=True))
    return F.pad(x, (beside, beside, below, below), value=fill_value)


_SIDES = ("top", "left", "bottom", "right")


def _distances(
    who: str, given: tuple[Any, Any, Any, Any], target: tuple[Any, Any], size: tuple[int, int], sign: int
) -> tuple[int, int, int, int]:
    """Complete two of (before, after, target size) for height and width; ``sign`` is 1 for padding, −1 for cropping."""
    found = list(given)
    for axis, (goal, have) in enumerate(zip(target, size, strict=True)):
        before, after = given[axis], given[axis + 2]
        if (before, after, goal).count(None) != 1 or any(value is not None and value < 0 for value in (before, after)):
            names = f"{_SIDES[axis]}={before}, {_SIDES[axis + 2]}={after}, target={goal}"
            raise ValueError(explain(who, names, "exactly two of them, none negative"))
        total = None if goal is None else sign * (goal - have)
        found[axis] = total - after if before is None else before
        found[axis + 2] = total - before if after is None else after
        if min(found[axis], found[axis + 2]) < 0:
            received = f"{_SIDES[axis]}={found[axis]}, {_SIDES[axis + 2]}={found[axis + 2]} for a size of {have}"
            raise ValueError(explain(who, received, "nothing negative"))
    return tuple(found)


def _framed(who: str, images: Tensor, sides: Any, target: Any, data_format: str | None, sign: int) -> Tensor:
    x, back = batch_of_images(who, images, data_format, channels="first")
    top, left, bottom, right = _distances(who, sides, target, (x.shape[2], x.shape[3]), sign)
    if sign < 0 and (top + bottom > x.shape[2] or left + right > x.shape[3]):
        raise ValueError(
            explain(who, f"{top + bottom} rows and {left + right} columns to crop", f"≤ {tuple(x.shape[2:])}")
        )
    return back(F.pad(x, [sign * side for side in (left, right, top, bottom)]))


@public(1)
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Images with zeros around; of top, bottom, target height (and left, right, target width) give two.

    Raises:
        ValueError: not two of them, or negative ones.
    """
    sides = (top_padding, left_padding, bottom_padding, right_padding)
    return _framed("pad_images", images, sides, (target_height, target_width), data_format, 1)


@public(1)
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Images with margins left out; of top, bottom, target height (and left, right, target width) give two.

    Raises:
        ValueError: not two of them, or negative ones.
    """
    sides = (top_cropping, left_cropping, bottom_cropping, right_cropping)
    return _framed("crop_images", images, sides, (target_height, target_width), data_format, -1)


def _patches(
    who: str, x: Tensor, rank: int, size: Any, strides: Any, dilation_rate: Any, padding: str, order: Any
) -> Any:
    size = each_axis(who, "size", size, rank)
    axis = channel_axis_of(order, x.ndim if x.ndim == rank + 1 else x.ndim - 1)
    batch = x if x.ndim == rank + 2 else x[None]
    channels = batch.shape[axis]
    count = channels * torch.Size(size).numel()
    picks = torch.eye(count, dtype=x.dtype, device=x.device).reshape(*size, channels, count)
    patches = conv(batch, picks, strides or size, padding, order, dilation_rate)
    return patches if x.ndim == rank + 2 else patches[0]


@public(1)
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Windows of images, each flattened into the channels: (N, rows, columns, height·width·C).

    With a size of three numbers, windows of volumes.

    Raises:
        TypeError, ValueError: a size that is not one, two or three numbers.
    """
    if not isinstance(size, (int, list, tuple)):
        raise TypeError(explain("extract_patches, argument 'size'", repr(size), "a whole number or a tuple"))
    rank = 2 if isinstance(size, int) else len(size)
    if rank not in (2, 3):
        raise ValueError(explain("extract_patches, argument 'size'", repr(size), "1, 2 or 3 whole numbers"))
    return _patches("extract_patches", images, rank, size, strides, dilation_rate, padding, data_format)


@public(1)
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Windows of volumes, each flattened into the channels."""
    return _patches("extract_patches_3d", volumes, 3, size, strides, dilation_rate, padding, data_format)


def _of_channels(who: str, images: Tensor, data_format: str | None, function: Callable[..., Any]) -> Tensor:
    """Apply a function of three planes."""
    if images.ndim not in (3, 4) or not images.is_floating_point():
        received = f"type {images.dtype}, shape {tuple(images.shape)}"
        raise ValueError(explain(who, received, "images of floats, (height, width, 3) or a batch of them"))
    axis = channel_axis_of(data_format, 3)
    return torch.stack(function(*images.unbind(axis)), axis)


@public(1)
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    """0.2989·R + 0.587·G + 0.114·B (ITU-R BT.601), on one channel; gray images stay.

    Raises:
        ValueError: not images, or not of 1 or 3 channels.
    """
    axis = channel_axis_of(data_format, 3)
    if images.ndim not in (3, 4) or images.shape[axis] not in (1, 3):
        received = f"shape {tuple(images.shape)}"
        raise ValueError(
            explain("rgb_to_grayscale", received, f"one image or a batch, with 1 or 3 channels on axis {axis}")
        )
    if images.shape[axis] == 1:
        return images.clone()
    red, green, blue = images.unbind(axis)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(images.dtype).unsqueeze(axis)


@public(1)
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    """Hue, saturation and value, all in [0, 1], of colors in [0, 1] (Smith 1978)."""

    def planes(red: Tensor, green: Tensor, blue: Tensor) -> list[Tensor]:
        value = torch.maximum(torch.maximum(red, green), blue)
        spread = value - torch.minimum(torch.minimum(red, green), blue)
        sixth = 1 / (6 * torch.where(spread > 0, spread, 1))
        hue = torch.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
        hue = torch.where(value == red, sixth * (green - blue), hue)
        hue = torch.where(spread > 0, hue, 0)
        saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1), 0)
        return [hue + (hue < 0).to(hue.dtype), saturation, value]

    tiny = torch.finfo(images.dtype).eps if images.is_floating_point() else 0
    return _of_channels("rgb_to_hsv", torch.where(images.abs() < tiny, 0, images), data_format, planes)


@public(1)
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    """Colors of hue, saturation and value, all in [0, 1]; the hue wraps around."""

    def planes(hue: Tensor, saturation: Tensor, value: Tensor) -> list[Tensor]:
        angle = torch.remainder(hue, 1) * 6
        shares = ((angle - 3).abs() - 1, 2 - (angle - 2).abs(), 2 - (angle - 4).abs())
        return [value * (1 - saturation + saturation * share.clip(0, 1)) for share in shares]

    return _of_channels("hsv_to_rgb", images, data_format, planes)


@public(1)
def gaussian_blur(
    images: Any,
    kernel_size: Any = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str | None = None,
) -> Any:
    """Images convolved with a normal distribution, zeros around them; ``sigma`` is (horizontal, vertical) in pixels."""
    x, back = batch_of_images("gaussian_blur", images, data_format, channels="first")
    return back(warp.blur(x, (int(kernel_size[0]), int(kernel_size[1])), tensor(sigma)))


@public(1)
def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """Vertical and horizontal differences on a new last axis (Sobel & Feldman 1968)."""
    x, back = batch_of_images("sobel_edges", images, data_format, channels="first")
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=x.device).to(x.dtype)
    count = x.shape[1]
    edges = (F.conv2d(x, k.expand(count, 1, 3, 3), padding=1, groups=count) for k in (across.T, across))
    return torch.stack([back(edge) for edge in edges], -1)


@public(2)
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Any:
    """Structural similarity (Wang et al. 2004), one number per image, 1 for equal ones.

    Means, variances and the covariance are those under a normal window of ``filter_size`` pixels.
    """
    kind = result_dtype(image1.dtype, float)
    (x, _), (y, _) = (batch_of_images("ssim", image.to(kind), data_format, "first") for image in (image1, image2))
    count = x.shape[1]
    window = warp.gaussian(filter_size, tensor(filter_sigma, kind), kind)
    kernel = torch.outer(window, window).to(x.device).expand(count, 1, filter_size, filter_size)

    def local(values: Tensor) -> Tensor:
        return F.conv2d(values, kernel, groups=count)

    mean_x, mean_y = local(x), local(y)
    variance_x, variance_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    covariance = local(x * y) - mean_x * mean_y
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    found = likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    result = found.mean((1, 2, 3)).to(image1.dtype)
    return result if image1.ndim == 4 else result[0]


publish(globals(), without=("conv", "saturate_cast"))
