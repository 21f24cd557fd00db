"""Transformations of single images and their random forms: rotation, shifts, shear, zoom, brightness, channel shift.

Images are arrays of rank 3; ``row_axis``, ``col_axis`` and ``channel_axis`` say what is where. The random functions
draw from NumPy's global generator. The order of the draws, and what an angle or a shift means, are Keras's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageEnhance

from convia.errors import explain
from convia.images import splines
from convia.images.files import array_to_img, img_to_array

Array = npt.NDArray[Any]
LINEAR = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}  # parameters of a warp that changes nothing


def affine_maps(shape: tuple[int, ...], table: Array, transposed: bool = True) -> tuple[Array, Array, Array]:
    """Return matrices (N, 2, 2) and offsets (N, 2) from new to old pixels, and which are not the identity (N,).

    The factors are rotation · shift · shear · zoom about the point (rows / 2 − ½, columns / 2 − ½) of x and y; as in
    Keras, where ``transposed`` x and y then change places.

    Args:
        shape: (rows, columns).
        table: the parameters that :data:`LINEAR` names, (N, 6): degrees, pixels, factors.
        transposed: take the map for (column, row), as for images whose rows come before their columns.
    """
    theta, tx, ty, shear, zx, zy = table.T  # (N,) each
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    rotation, shift, slanting, zoom, to, back = np.tile(np.eye(3), (6, len(table), 1, 1))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(turn)
    rotation[:, 1, 0] = np.sin(turn)
    rotation[:, 0, 1] = -rotation[:, 1, 0]
    shift[:, 0, 2], shift[:, 1, 2] = tx, ty
    slanting[:, 0, 1], slanting[:, 1, 1] = -np.sin(slant), np.cos(slant)
    zoom[:, 0, 0], zoom[:, 1, 1] = zx, zy
    to[:, :2, 2] = np.array(shape[:2]) / 2 - 0.5
    back[:, :2, 2] = -to[:, :2, 2]
    matrices = to @ (rotation @ shift @ slanting @ zoom) @ back
    if transposed:
        matrices = matrices[:, [1, 0, 2]][:, :, [1, 0, 2]]
    return matrices[:, :2, :2], matrices[:, :2, 2], (table != [*LINEAR.values()]).any(1)


def apply_affine_transform(
    x: Any,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> Array:
    """Rotate, shift, shear and zoom an image about its middle, in one warp.

    Args:
        x: one image.
        theta, shear: degrees. tx, ty: pixels. zx, zy: factors; above 1 the picture gets smaller.
        fill_mode: beyond the border: "nearest", "constant", "reflect", "wrap" (all of SciPy's but "grid-constant").
        cval: the value for "constant".
        order: of the spline: 0 nearest, 1 bilinear, up to 5.

    Raises:
        ValueError: no image, axes that are not 0, 1 and 2, an unknown fill mode or order.
    """
    x = np.asarray(x)
    axes = (row_axis, col_axis, channel_axis)
    who = "apply_affine_transform"
    if sorted(axes) != [0, 1, 2] or channel_axis == 1:
        expected = "0, 1 and 2, the channels first or last"
        raise ValueError(explain(who, f"row_axis, col_axis, channel_axis = {axes}", expected))
    if x.ndim != 3:
        remedy = "Give one image of the batch: batch[0]." if x.ndim == 4 else ""
        raise ValueError(explain(who, f"an array of shape {x.shape}", "one image, of rank 3", remedy))
    splines.check(who, order, fill_mode)
    transposed = col_axis > row_axis
    table = np.array([[theta, tx, ty, shear, zx, zy]], float)
    matrices, offsets, is_changed = affine_maps((x.shape[row_axis], x.shape[col_axis]), table, transposed)
    if not is_changed[0]:
        return np.asarray(x)
    pixels = np.moveaxis(x, channel_axis, 2)[None]
    warped = splines.warp(pixels, matrices, offsets, order, fill_mode, cval)[0]
    return np.moveaxis(warped, 2, channel_axis)


def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> Array:
    """Add a number to all values, within the image's own least and largest value."""
    x = np.asarray(x)
    shifted: Array = np.clip(x + intensity, x.min(), x.max())
    return shifted


def apply_brightness_shift(x: Any, brightness: float, scale: bool = True, data_format: str | None = None) -> Array:
    """Multiply an image's values by a factor, as 8-bit pixels.

    Args:
        x: an image; values outside 0…255 are stretched to that range for the while.
        brightness: 0 makes it black, 1 leaves it.
        scale: stretch it to 0…255 first, and leave it so.
        data_format: of the image; the library's by default.

    Returns:
        An array of the type floatx.
    """
    x = np.asarray(x)
    low, high = x.min(), x.max()
    beyond = bool(low < 0 or high > 255)
    picture = array_to_img(x, data_format, scale=beyond or scale)
    bright = img_to_array(ImageEnhance.Brightness(picture).enhance(brightness), data_format)
    return bright / 255 * (high - low) + low if beyond and not scale else bright


def flip_axis(x: Any, axis: int) -> Array:
    """Reverse an axis."""
    return np.flip(np.asarray(x), axis)


def random_rotation(
    x: Any,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """Rotate by up to ``rg`` degrees to either side."""
    theta = np.random.uniform(-rg, rg)
    return _warped(x, (row_axis, col_axis, channel_axis), (fill_mode, cval, interpolation_order), theta=theta)


def random_shift(
    x: Any,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """Shift by up to the fractions ``wrg`` of the width and ``hrg`` of the height."""
    height, width = np.shape(x)[row_axis], np.shape(x)[col_axis]
    tx = np.random.uniform(-hrg, hrg) * height
    ty = np.random.uniform(-wrg, wrg) * width
    return _warped(x, (row_axis, col_axis, channel_axis), (fill_mode, cval, interpolation_order), tx=tx, ty=ty)


def random_shear(
    x: Any,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """Shear by up to ``intensity`` degrees."""
    shear = np.random.uniform(-intensity, intensity)
    return _warped(x, (row_axis, col_axis, channel_axis), (fill_mode, cval, interpolation_order), shear=shear)


def random_zoom(
    x: Any,
    zoom_range: Sequence[float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """Zoom rows and columns by factors from ``zoom_range`` = (least, largest).

    Raises:
        ValueError: not two numbers.
    """
    check_pair("random_zoom", "zoom_range", zoom_range)
    zx, zy = draw_zoom(zoom_range)
    return _warped(x, (row_axis, col_axis, channel_axis), (fill_mode, cval, interpolation_order), zx=zx, zy=zy)


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> Array:
    """Add one number of at most ``intensity_range`` to all values, see :func:`apply_channel_shift`."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def random_brightness(x: Any, brightness_range: Sequence[float], scale: bool = True) -> Array:
    """Change the brightness by a factor from ``brightness_range`` = (least, largest).

    Raises:
        ValueError: not two numbers.
    """
    check_pair("random_brightness", "brightness_range", brightness_range)
    return apply_brightness_shift(x, np.random.uniform(brightness_range[0], brightness_range[1]), scale)


def draw_zoom(zoom_range: Sequence[float]) -> Any:
    """Draw the factors of rows and columns; nothing is drawn where there is nothing to choose."""
    least, largest = zoom_range
    return (1, 1) if least == 1 and largest == 1 else np.random.uniform(least, largest, 2)


def check_pair(who: str, name: str, value: Any) -> None:
    """Raise ValueError for what is no pair."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise ValueError(explain(f"{who}, argument {name!r}", repr(value), "two numbers (least, largest)"))


def _warped(x: Any, axes: tuple[int, int, int], fill: tuple[str, float, int], **by: Any) -> Array:
    where = dict(zip(("row_axis", "col_axis", "channel_axis"), axes, strict=True))
    return apply_affine_transform(x, **by, **where, fill_mode=fill[0], cval=fill[1], order=fill[2])
