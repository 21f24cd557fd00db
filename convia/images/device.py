"""Batches changed where a model trains, by torch: what :mod:`convia.images.warp` does, on any device.

Only bytes are copied there. The draws are the same, and so are the pixels, but for round-off.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from convia import config
from convia.errors import explain
from convia.images import warp

Array = npt.NDArray[Any]
_FILLS = ("nearest", "constant", "reflect", "wrap")
_ELSEWHERE = (  # arguments of ImageDataGenerator that are for the processor alone
    "preprocessing_function",
    "contrast_range",
    "blur_range",
    "sharpen_range",
    "noise_range",
    "cutout",
    "mixup_alpha",
    "cutmix_alpha",
)


def buffer(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return memory for a batch; where models live on a GPU, such that can be copied to it in the background."""
    if pins():
        return torch.empty(shape, dtype=config.torch_dtype(np.dtype(dtype).name), pin_memory=True).numpy()
    return np.empty(shape, dtype)


def pins() -> bool:
    """Whether models live on a GPU that copies pinned memory by itself."""
    return config.device().type == "cuda"


def check(who: str, generator: Any) -> None:
    """Raise ValueError for what an ImageDataGenerator does only on the processor."""
    asked = [name for name in _ELSEWHERE if getattr(generator, name, None)]
    if getattr(generator, "interpolation_order", 1) > 1:
        asked.append(f"interpolation_order={generator.interpolation_order}")
    if getattr(generator, "fill_mode", "nearest") not in _FILLS:
        asked.append(f"fill_mode={generator.fill_mode!r}")
    if not getattr(generator, "draws_ahead", True) and not asked:
        asked.append(f"methods of {type(generator).__name__}'s own")
    if asked:
        expected = "an ImageDataGenerator without"
        remedy = "Leave out device=…: then the processor's threads do it."
        raise ValueError(explain(f"{who}, argument 'device'", ", ".join(asked), expected, remedy))


def make(pixels: Array, generator: Any, drawn: dict[str, Array], device: Any, dtype: str) -> Tensor:
    """Copy images (N, …), bytes or floats, to a device; change them by what was drawn, and normalize them there."""
    images = torch.from_numpy(pixels).to(device, non_blocking=True)
    if generator is None or not len(pixels):
        return images.to(config.torch_dtype(dtype))
    last = generator.channel_axis == 3
    plan = warp.settings(pixels, drawn, (generator.interpolation_order, generator.fill_mode, generator.cval), last)
    x = _changed(images if last else images.movedim(1, 3), plan)
    x = x if last else x.movedim(3, 1)
    return _normalized(x * generator.rescale if generator.rescale else x, generator).to(config.torch_dtype(dtype))


def _there(values: Array, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a number per image (N,) as (N, 1, 1, 1) beside the images."""
    return torch.from_numpy(np.asarray(values, float)).to(dtype).to(images.device)[:, None, None, None]


def _changed(images: Tensor, plan: Any) -> Tensor:
    """Return images (N, H, W, C) warped, shifted in value, flipped and brightened, as floats."""
    x = images.float()
    if plan.maps[2].any():
        x = _warped(x, plan)
    if not np.isnan(plan.shifts).all():
        shifts = np.nan_to_num(plan.shifts)
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        x = torch.minimum(torch.maximum(x + _there(shifts, x), low), high)
    for axis, flips in ((2, plan.flips[0]), (1, plan.flips[1])):
        if flips.any():
            x = torch.where(_there(flips, x).bool(), x.flip(axis), x)
    return x if np.isnan(plan.factors).all() else _brightened(x, plan.factors)


def _warped(x: Tensor, plan: Any) -> Tensor:
    """Return at each pixel p of an image what it has at M·p + b."""
    count, height, width, _ = x.shape
    order, fill, value = plan.fill
    precise = torch.float32 if x.device.type == "mps" else torch.float64
    matrices, offsets = (torch.from_numpy(part).to(precise).to(x.device) for part in plan.maps[:2])
    i = torch.arange(height, dtype=precise, device=x.device)[:, None]
    j = torch.arange(width, dtype=precise, device=x.device)
    taps, outside = [], torch.zeros((), dtype=torch.bool, device=x.device)
    for axis, size in enumerate((height, width)):
        row, column, start = (
            part[:, None, None] for part in (matrices[:, axis, 0], matrices[:, axis, 1], offsets[:, axis])
        )
        place = start + row * i + column * j  # (N, H, W)
        outside = outside | (place < 0) | (place > size - 1)
        place = _within(place, size, fill).clamp(0, size - 1)
        first = (place if order else place + 0.5).floor()
        weight = (place - first).to(x.dtype if np.isnan(plan.factors).all() else precise)[..., None]
        taps.append((first.long(), (first.long() + 1).clamp(max=size - 1), weight))
    (y0, y1, down), (x0, x1, across) = taps
    number = torch.arange(count, device=x.device)[:, None, None]
    if order == 0:
        found = x[number, y0, x0]
    else:
        above = x[number, y0, x0] * (1 - across) + x[number, y0, x1] * across
        below = x[number, y1, x0] * (1 - across) + x[number, y1, x1] * across
        found = (above * (1 - down) + below * down).to(x.dtype)
    if fill == "constant":
        found = torch.where(outside[..., None], torch.tensor(value, dtype=x.dtype, device=x.device), found)
    moves = _there(plan.maps[2], x).bool()
    return torch.where(moves, found, x)


def _within(c: Tensor, n: int, fill: str) -> Tensor:
    """Return coordinates beyond the border as such within, by the formulas of :mod:`convia.images.splines`."""
    if n == 1 or fill in ("nearest", "constant"):
        return c.clamp(0, n - 1)
    if fill == "wrap":
        period = n - 1
        low, high = c + period * ((-c / period).trunc() + 1), c - period * (c / period).trunc()
    else:
        period = 2 * n
        low = torch.where(c < -period, period * (-c / period).trunc() + c, c)
        low = torch.where(low < -n, low + period, torch.where(low > -1e-15, 1e-15, -low) - 1)
        high = c - period * (c / period).trunc()
        high = torch.where(high >= n, period - high - 1, high)
    return torch.where(c < 0, low, torch.where(c > n - 1, high, c))


def _brightened(x: Tensor, factors: Array) -> Tensor:
    """Multiply values as bytes; those of an image beyond 0…255 are stretched to that range for the while."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    beyond, span = (low < 0) | (high > 255), high - low
    levels = torch.where(beyond, (x - low) / torch.where(span > 0, span, 1) * 255, x).trunc()
    bright = (_there(np.nan_to_num(factors, nan=1.0), x) * levels).clamp(0, 255).trunc()
    if x.shape[3] == 4:  # Pillow leaves transparency as it is
        bright = torch.cat((bright[..., :3], levels[..., 3:]), 3)
    bright = torch.where(beyond, bright / 255 * span + low, bright)
    return torch.where(_there(~np.isnan(factors), x).bool(), bright, x)


def _normalized(x: Tensor, generator: Any) -> Tensor:
    each = (1, 2, 3)
    if generator.samplewise_center:
        x = x - x.mean(each, keepdim=True)
    if generator.samplewise_std_normalization:
        x = x / (x.std(each, keepdim=True, correction=0) + 1e-6)
    if generator.featurewise_center and generator.is_known("featurewise_center", generator.mean):
        x = x - _constant(generator.mean, x)
    if generator.featurewise_std_normalization and generator.is_known("featurewise_std_normalization", generator.std):
        x = x / (_constant(generator.std, x) + 1e-6)
    if generator.zca_whitening and generator.is_known("zca_whitening", generator.zca_whitening_matrix):
        x = (x.flatten(1) @ _constant(generator.zca_whitening_matrix, x)).reshape(x.shape)
    return x


def _constant(values: Any, x: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=x.dtype).to(x.device)
