"""Batches of images warped, flipped, shifted in value and brightened: by native kernels, or else in NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convia.errors import explain
from convia.images import splines
from convia.images.kernels import native
from convia.images.transforms import LINEAR, affine_maps, apply_brightness_shift

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]  # parameter → (N,), NaN where an image has none
_MOVES, _FLIPS_COLUMNS, _FLIPS_ROWS, _SHIFTS = 1, 2, 4, 8  # as in engine/warp.hpp
_NONE = np.zeros((0, 256), np.float32)


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
    tables: Array = np.trunc(np.clip(factors.astype(np.float32)[:, None] * levels, 0, 255))
    return tables


class _Settings(NamedTuple):
    """What is to be done to N images."""

    maps: tuple[Array, Array, Array]  # matrices and offsets from new to old pixels, and which images move
    flips: tuple[Array, Array]  # of columns, of rows
    shifts: Array  # of values; NaN: none
    factors: Array  # of brightness; NaN: none
    fill: tuple[int, str, float]  # order, fill_mode, cval
    last: bool  # channels come last


def change(
    images: Sequence[Array] | Array,
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

    Raises:
        ValueError: images of different shapes.
    """
    if not len(images):
        return
    shapes = {image.shape for image in images}
    if shapes != {out.shape[1:]}:
        raise ValueError(explain("apply_transforms", f"images of the shapes {sorted(shapes)}", "the same for all"))
    plan = settings(images, drawn, (order, fill_mode, cval), last)
    fits = order < 2 and out.dtype == np.float32 and out.flags.c_contiguous and out.size
    kernels = native()
    if kernels is not None and fits and not _is_mixed(plan.factors):
        _change_natively(kernels, images, plan, scale, out)
        return
    floats = [np.asarray(image, image.dtype if image.dtype.kind == "f" else out.dtype) for image in images]
    for k, x in enumerate(_changed(floats, plan)):
        out[k] = x
    if scale != 1:
        out *= scale


def changed(images: Sequence[Array], drawn: Columns, fill: tuple[int, str, float], last: bool) -> list[Array]:
    """Change images of any type as :func:`change` does, in NumPy; whole numbers stay whole numbers in a warp."""
    return _changed(images, settings(images, drawn, fill, last))


def settings(images: Sequence[Array] | Array, drawn: Columns, fill: tuple[int, str, float], last: bool) -> _Settings:
    """Return what parameters mean for images of one shape."""
    count = len(images)
    shape = images[0].shape[:2] if last else images[0].shape[1:]
    table = np.empty((count, len(LINEAR)))
    for k, (name, start) in enumerate(LINEAR.items()):
        table[:, k] = drawn.get(name, start)
    none = np.full(count, np.nan)
    across, down = (drawn.get(name, none) == 1 for name in ("flip_horizontal", "flip_vertical"))
    shifts, factors = (drawn.get(name, none) for name in ("channel_shift_intensity", "brightness"))
    return _Settings(affine_maps(shape, table), (across, down), shifts, factors, fill, last)


def _is_mixed(factors: Array) -> bool:
    absent = np.isnan(factors)
    return bool(absent.any() and not absent.all())


def _addresses(images: Sequence[Array] | Array) -> tuple[Any, Array]:
    """Return contiguous bytes or floats, to be kept alive, and the addresses of the images."""
    if not isinstance(images, np.ndarray):
        kind = np.uint8 if all(image.dtype == np.uint8 for image in images) else np.float32
        pictures = [np.ascontiguousarray(image, kind) for image in images]
        return pictures, np.array([picture.__array_interface__["data"][0] for picture in pictures], np.uint64)
    whole = np.ascontiguousarray(images, images.dtype if images.dtype == np.uint8 else np.float32)
    return whole, whole.ctypes.data + np.arange(len(whole), dtype=np.uint64) * np.uint64(whole[0].nbytes)


def _change_natively(kernels: Any, images: Sequence[Array] | Array, plan: _Settings, scale: float, out: Array) -> None:
    pictures, sources = _addresses(images)
    matrices, offsets, moves = plan.maps
    has_shift = ~np.isnan(plan.shifts)
    flags = moves * _MOVES + plan.flips[0] * _FLIPS_COLUMNS + plan.flips[1] * _FLIPS_ROWS + has_shift * _SHIFTS
    channels = out.shape[3 if plan.last else 1]
    shines = not np.isnan(plan.factors[0])
    is_odd = shines and channels not in (1, 3, 4)  # Pillow has no such images: brightness says so
    beyond = np.full(len(images), is_odd, np.uint8)
    order, fill_mode, cval = plan.fill
    kernels.change(
        sources,
        pictures[0].dtype == np.uint8,
        out[:, None] if plan.last else out[..., None],
        np.concatenate([matrices.reshape(-1, 4), offsets], 1),
        flags.astype(np.uint8),
        np.where(has_shift, plan.shifts, 0).astype(np.float32),
        brightness_tables(plan.factors) if shines and not is_odd else _NONE,
        beyond,
        order,
        splines.FILL_MODES.index(fill_mode),
        cval,
        shines,
        1.0 if is_odd else scale,
        3 if channels == 4 else channels,  # Pillow leaves the fourth, transparency, as it is
    )
    for k in map(int, np.flatnonzero(beyond)):
        data_format = "channels_last" if plan.last else "channels_first"
        out[k] = apply_brightness_shift(out[k], plan.factors[k].item(), False, data_format)
        out[k] *= scale


def _changed(images: Sequence[Array], plan: _Settings) -> list[Array]:
    done = [x if plan.last else np.moveaxis(x, 0, 2) for x in images]  # (H, W, C) each
    matrices, offsets, moves = plan.maps
    moved = np.flatnonzero(moves)
    if len(moved):
        precise = not np.isnan(plan.factors).all()
        warped = splines.warp(np.stack([done[k] for k in moved]), matrices[moved], offsets[moved], *plan.fill, precise)
        for k, x in zip(map(int, moved), warped, strict=True):
            done[k] = x
    for k, (x, across, down) in enumerate(zip(done, *plan.flips, strict=True)):
        shift, factor = plan.shifts[k].item(), plan.factors[k].item()
        shifted = x if np.isnan(shift) else np.clip(x + shift, x.min(), x.max())
        turned = shifted[:: -1 if down else 1, :: -1 if across else 1]
        done[k] = turned if np.isnan(factor) else apply_brightness_shift(turned, factor, False, "channels_last")
    return done if plan.last else [np.moveaxis(x, 2, 0) for x in done]
