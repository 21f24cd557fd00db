"""Batches of images warped, flipped, shifted in value and brightened: by native kernels, or else in NumPy."""

import contextlib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.engine.loading import chosen_engine
from convia.images import splines
from convia.images.transforms import LINEAR, affine_maps, apply_brightness_shift

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]  # parameter → (N,), NaN where an image has none
_MOVES, _FLIPS_COLUMNS, _FLIPS_ROWS, _SHIFTS = 1, 2, 4, 8  # as in engine/warp.hpp
_NONE = np.zeros((0, 256), np.float32)
_pixels: Any = None
with contextlib.suppress(ImportError):  # not built: NumPy does it
    _pixels = importlib.import_module("convia.engine._pixels")


def columns_of(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Return the parameters of images, each a dict that may lack some or have None for them, as columns."""
    names = {name for given in parameters for name, value in given.items() if value is not None}

    def value(given: Mapping[str, Any], name: str) -> Any:
        found = given.get(name)
        return LINEAR.get(name, np.nan) if found is None else found

    return {name: np.array([value(given, name) for given in parameters], float) for name in names}


def brightness_tables(factors: Array) -> Array:
    """Return what Pillow's brightness makes of 0…255, (N, 256): products in float32, cut to whole numbers and range."""
    levels = np.arange(256, dtype=np.float32)
    return np.trunc(np.clip(factors.astype(np.float32)[:, None] * levels, 0, 255))


def change(
    images: Sequence[Array],
    drawn: Columns,
    out: Array,
    *,
    order: int = 1,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    last: bool = True,
    scale: float = 1.0,
) -> None:
    """Change images, in one warp each, then by shift of values, flips and brightness; multiply them; write to ``out``.

    Args:
        images: N arrays of one shape, (H, W, C), or (C, H, W) unless ``last``; bytes or of out's type.
        drawn: any of theta and shear (degrees), tx and ty (pixels), zx and zy (factors), flip_horizontal,
            flip_vertical, channel_shift_intensity, brightness (a factor).
        out: (N, …), of a float type.
        order, fill_mode, cval: see :func:`convia.images.splines.warp`.
    """
    if not len(images):
        return
    maps, flips, shifts, factors = _settings(images, drawn, last)
    fill = order, fill_mode, cval
    fits = order < 2 and out.dtype == np.float32 and out.flags.c_contiguous and out.size
    if _pixels is not None and fits and chosen_engine() != "torch" and not _is_mixed(factors):
        _change_natively(images, maps, flips, shifts, factors, fill, scale, last, out)
    else:
        _change_in_numpy(images, maps, flips, shifts, factors, fill, scale, last, out)


def _settings(
    images: Sequence[Array], drawn: Columns, last: bool
) -> tuple[tuple[Array, Array, Array], list[Array], Array, Array]:
    """Return the maps of the warps, the flips of columns and rows, the shifts of values, the factors of brightness."""
    count = len(images)
    shape = images[0].shape[:2] if last else images[0].shape[1:]
    table = np.stack([drawn.get(name, np.full(count, float(start))) for name, start in LINEAR.items()], 1)
    none = np.full(count, np.nan)
    flips = [drawn.get(name, none) == 1 for name in ("flip_horizontal", "flip_vertical")]
    return affine_maps(shape, table), flips, drawn.get("channel_shift_intensity", none), drawn.get("brightness", none)


def _is_mixed(factors: Array) -> bool:
    return bool(np.isnan(factors).any()) and not np.isnan(factors).all()


def _change_natively(
    images: Sequence[Array],
    maps: tuple[Array, Array, Array],
    flips: list[Array],
    shifts: Array,
    factors: Array,
    fill: tuple[int, str, float],
    scale: float,
    last: bool,
    out: Array,
) -> None:
    kind = np.uint8 if all(image.dtype == np.uint8 for image in images) else np.float32
    pictures = [np.ascontiguousarray(image, kind) for image in images]  # kept alive while the kernel reads them
    sources = np.array([picture.__array_interface__["data"][0] for picture in pictures], np.uint64)
    matrices, offsets, moves = maps
    has_shift = ~np.isnan(shifts)
    flags = moves * _MOVES + flips[0] * _FLIPS_COLUMNS + flips[1] * _FLIPS_ROWS + has_shift * _SHIFTS
    channels = out.shape[3 if last else 1]
    colors = 3 if channels == 4 else channels  # Pillow leaves the fourth, transparency, as it is
    shines = not np.isnan(factors[0])
    tables = brightness_tables(factors) if shines else _NONE
    beyond = np.full(len(images), channels not in (1, 3, 4) and shines, np.uint8)
    _pixels.change(
        sources,
        kind is np.uint8,
        out[:, None] if last else out[..., None],
        np.concatenate([matrices.reshape(-1, 4), offsets], 1),
        flags.astype(np.uint8),
        np.nan_to_num(shifts).astype(np.float32),
        tables if not beyond.any() else _NONE,
        beyond,
        fill[0],
        splines.FILL_MODES.index(fill[1]),
        fill[2],
        bool(shines),
        1.0 if beyond.any() else scale,
        colors,
    )
    for k in map(int, np.flatnonzero(beyond)):
        out[k] = apply_brightness_shift(out[k], factors[k], False, "channels_last" if last else "channels_first")
        out[k] *= np.float32(scale)


def _change_in_numpy(
    images: Sequence[Array],
    maps: tuple[Array, Array, Array],
    flips: list[Array],
    shifts: Array,
    factors: Array,
    fill: tuple[int, str, float],
    scale: float,
    last: bool,
    out: Array,
) -> None:
    floats = [np.asarray(image, image.dtype if image.dtype.kind == "f" else out.dtype) for image in images]
    for k, x in enumerate(_changed(floats, maps, flips, shifts, factors, fill, last)):
        out[k] = x
    if scale != 1:
        out *= out.dtype.type(scale)


def changed(images: Sequence[Array], drawn: Columns, fill: tuple[int, str, float], last: bool) -> list[Array]:
    """Change images of any type as :func:`change` does, in NumPy; whole numbers stay whole numbers in a warp."""
    return _changed(images, *_settings(images, drawn, last), fill, last)


def _changed(
    images: Sequence[Array],
    maps: tuple[Array, Array, Array],
    flips: list[Array],
    shifts: Array,
    factors: Array,
    fill: tuple[int, str, float],
    last: bool,
) -> list[Array]:
    done = [x if last else np.moveaxis(x, 0, 2) for x in images]  # (H, W, C) each
    matrices, offsets, moves = maps
    moved = np.flatnonzero(moves)
    if len(moved):
        precise = not np.isnan(factors).all()
        pixels = np.stack([done[k] for k in moved])
        for k, x in zip(
            map(int, moved), splines.warp(pixels, matrices[moved], offsets[moved], *fill, precise), strict=True
        ):
            done[k] = x
    for k, x in enumerate(done):
        shifted = x if np.isnan(shifts[k]) else np.clip(x + shifts[k].item(), x.min(), x.max())
        turned = shifted[:: -1 if flips[1][k] else 1, :: -1 if flips[0][k] else 1]
        bright = np.isnan(factors[k])
        done[k] = turned if bright else apply_brightness_shift(turned, factors[k].item(), False, "channels_last")
    return done if last else [np.moveaxis(x, 2, 0) for x in done]
