"""Reading images between their pixels: B-splines of order 0 (nearest) to 5, as ``scipy.ndimage.affine_transform``."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.errors import explain, nearest

Array = npt.NDArray[Any]
_TILE = 2**13  # pixels computed at once: what is needed for them stays in the processor's cache
_PAD = 12  # pixels repeated around an image before it is filtered where splines have no exact border


def _clip(c: Array, n: int) -> Array:
    return np.clip(c, 0, n - 1)


def _reflect(c: Array, n: int) -> Array:
    """… b a | a b c | c b …"""
    period = 2 * n
    low = np.where(c < -period, period * np.trunc(-c / period) + c, c)
    low = np.where(low < -n, low + period, np.where(low > -1e-15, 1e-15, -low) - 1)
    high = c - period * np.trunc(c / period)
    high = np.where(high >= n, period - high - 1, high)
    return np.where(c < 0, low, np.where(c > n - 1, high, c))


def _mirror(c: Array, n: int) -> Array:
    """… c b | a b c | b a …"""
    period = 2 * n - 2
    low = period * np.trunc(-c / period) + c
    low = np.where(low <= 1 - n, low + period, -low)
    high = c - period * np.trunc(c / period)
    high = np.where(high >= n, period - high, high)
    return np.where(c < 0, low, np.where(c > n - 1, high, c))


def _wrap(c: Array, n: int) -> Array:
    """… a b | a b c | b c …: the first and the last pixel coincide."""
    period = n - 1
    low = c + period * (np.trunc(-c / period) + 1)
    return np.where(c < 0, low, np.where(c > n - 1, c - period * np.trunc(c / period), c))


def _grid_wrap(c: Array, n: int) -> Array:
    """… b c | a b c | a b …"""
    low = c + n * (np.trunc((-1 - c) / n) + 1)
    return np.where(c < 0, low, np.where(c > n - 1, c - n * np.trunc(c / n), c))


_MAPS: dict[str, Callable[[Array, int], Array]] = {  # coordinates beyond the border → coordinates within
    "constant": _clip,
    "nearest": _clip,
    "reflect": _reflect,
    "wrap": _wrap,
    "mirror": _mirror,
    "grid-mirror": _reflect,
    "grid-wrap": _grid_wrap,
}
FILL_MODES = tuple(_MAPS)


def _about_pixels(k: Array, n: int) -> Array:
    k = k % max(2 * n - 2, 1)
    reflected: Array = np.minimum(k, 2 * n - 2 - k)
    return reflected


def _about_edges(k: Array, n: int) -> Array:
    k = k % (2 * n)
    reflected: Array = np.minimum(k, 2 * n - 1 - k)
    return reflected


_BORDERS: dict[str, Callable[[Array, int], Array]] = {  # how a spline itself goes on: positions → pixels
    "constant": _about_pixels,
    "nearest": _clip,
    "reflect": _about_edges,
    "wrap": _about_pixels,
    "mirror": _about_pixels,
    "grid-mirror": _about_edges,
    "grid-wrap": lambda k, n: k % n,
}


def check(who: str, order: Any, fill_mode: Any) -> None:
    """Raise ValueError for an order or a fill mode that does not exist."""
    if order not in range(6):
        remedy = "0 is nearest, 1 bilinear, 3 bicubic."
        raise ValueError(explain(f"{who}, interpolation order", repr(order), "a whole number from 0 to 5", remedy))
    if fill_mode not in _MAPS:
        expected, remedy = f"one of {list(_MAPS)}", nearest(str(fill_mode), _MAPS)
        raise ValueError(explain(f"{who}, argument 'fill_mode'", repr(fill_mode), expected, remedy))


def warp(
    images: Array,
    matrices: Array,
    offsets: Array,
    order: int = 1,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    precise: bool = False,
) -> Array:
    """Put at each pixel p = (row, column) of an image what it has at M·p + b.

    Args:
        images: (N, H, W, C); whole numbers are rounded at the end.
        matrices: M, (N, 2, 2). offsets: b, (N, 2).
        order: of the spline, 0 to 5. fill_mode: one of :data:`FILL_MODES`. cval: the value for "constant".
        precise: compute in float64 although float32 would do.
    """
    count, height, width, channels = images.shape
    floats = images.dtype in (np.float16, np.float32) and order < 2 and not precise
    source, pad = (images, 0) if order < 2 else _coefficients(images, order, fill_mode)
    size = source.shape[1:3]
    planes = np.moveaxis(source, 3, 0).reshape(channels, -1)  # whole channels, for long inner loops
    planes = planes.astype(planes.dtype if order == 0 else np.float32 if floats else np.float64, copy=False)
    result = np.empty((channels, count, height, width), images.dtype)
    matrix, offset = (part.astype(np.float64)[..., None, None] for part in (matrices, offsets))
    j = np.arange(width)
    together, rows = max(1, _TILE // (height * width)), max(1, _TILE // width)
    for some, first in itertools.product(range(0, count, together), range(0, height, rows)):
        part = slice(some, some + together)
        i = np.arange(first, min(first + rows, height))[:, None]
        points = [offset[part, axis] + matrix[part, axis, 0] * i + matrix[part, axis, 1] * j for axis in (0, 1)]
        outside = np.zeros((), bool)
        if fill_mode == "constant":
            outside = np.any([(c < 0) | (c > n - 1) for c, n in zip(points, (height, width), strict=True)], axis=0)
        taps = [_taps(c, n, order, fill_mode, pad, planes.dtype) for c, n in zip(points, size, strict=True)]
        start = (np.arange(count)[part] * (size[0] * size[1]))[:, None, None]
        tile = result[:, part, first : first + rows]
        tile[...] = _as(images.dtype, _blend(planes, taps, start, size[1], order))
        if outside.any():
            tile[:, outside] = np.asarray(cval).astype(images.dtype)
    return np.moveaxis(result, 0, 3)


def _blend(planes: Array, taps: list[list[tuple[Array, Array]]], start: Array, width: int, order: int) -> Array:
    """Return the weighted sums (C, N, H, W) of pixels at rows and columns; those of an image begin at ``start``."""
    result: Array | None = None
    for row, row_weight in taps[0]:
        origin = row * width + start
        line: Any = None
        for column, weight in taps[1]:
            value = planes.take(origin + column, axis=1)
            if order:
                value *= weight
            line = value if line is None else np.add(line, value, out=line)
        if order:
            line *= row_weight
        result = line if result is None else np.add(result, line, out=result)
    assert result is not None
    return result


def _as(dtype: np.dtype[Any], values: Array) -> Array:
    if dtype.kind not in "iu":
        return values.astype(dtype, copy=False)
    bounds = np.iinfo(dtype)
    rounded = np.trunc(values + np.copysign(0.5, values))  # halves away from zero
    whole: Array = np.clip(rounded, bounds.min, bounds.max).astype(dtype)
    return whole


def _taps(c: Array, size: int, order: int, mode: str, pad: int, precision: Any) -> list[tuple[Array, Array]]:
    """Return, for each of the order + 1 pixels of an axis around coordinates, (its position, its weight)."""
    c = c + pad if pad else c
    if c.min() < 0 or c.max() > size - 1:
        c = _MAPS[mode](c, size) if size > 1 else np.zeros_like(c)
    is_periodic = mode in ("mirror", "grid-wrap")  # what lies between the last pixel and its successor matters
    if order < 2 and not is_periodic:
        c = np.minimum(np.maximum(c, 0), size - 1)
    start = np.floor(c if order % 2 else c + 0.5)
    whole = start.astype(np.intp)
    if order == 0:
        return [(_BORDERS[mode](whole, size) if is_periodic else whole, c)]
    if order == 1:
        weight = (c - start).astype(precision)
        after = _BORDERS[mode](whole + 1, size) if is_periodic else np.minimum(whole + 1, size - 1)
        return [(_BORDERS[mode](whole, size) if is_periodic else whole, 1 - weight), (after, weight)]
    border = _BORDERS[mode]
    steps = range(-(order // 2), order - order // 2 + 1)
    return [(border(whole + step, size), _b_spline(c - (start + step), order)) for step in steps]


def _b_spline(x: Array, order: int) -> Array:
    """The cardinal B-spline, by truncated powers (Schoenberg, 1946)."""
    terms = range(order + 2)
    powers = ((-1) ** k * math.comb(order + 1, k) * np.maximum(x + ((order + 1) / 2 - k), 0) ** order for k in terms)
    return sum(powers, np.zeros_like(x)) / math.factorial(order)


def _coefficients(images: Array, order: int, mode: str) -> tuple[Array, int]:
    """Return the weights of B-splines that pass through the pixels (Unser, 1999), and how far they were padded."""
    pad = _PAD if mode == "nearest" else 0
    padded = np.pad(images.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)), "edge")
    rows, columns = (_inverse(n, order, "reflect" if pad else mode) for n in padded.shape[1:3])
    return np.ascontiguousarray(np.einsum("yh,nhwc,xw->nyxc", rows, padded, columns, optimize=True)), pad


@functools.lru_cache(maxsize=32)
def _inverse(size: int, order: int, mode: str) -> Array:
    """Return the matrix (size, size) from an axis's pixels to its splines' weights."""
    matrix = np.zeros((size, size))
    positions = np.arange(size)
    for step in range(-(order // 2), order // 2 + 1):
        weight = _b_spline(np.array(float(step)), order)
        np.add.at(matrix, (positions, _BORDERS[mode](positions + step, size)), weight)
    return np.linalg.inv(matrix)
