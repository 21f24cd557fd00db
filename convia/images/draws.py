"""What is left to chance in ImageDataGenerator: its parameters, drawn from NumPy's global generator in Keras's order.

Convia's own parameters are drawn after Keras's, and only where they are asked for, so that seeds keep their meaning.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Row = tuple[str, Any, Any]  # (parameter, least, largest), or (parameter, what to choose from, None)
_FLIPS = ("flip_horizontal", "flip_vertical")
_NOISES = 2**53  # seeds of noise


def symmetric(name: str, most: Any) -> list[Row]:
    """Return the row of a parameter to either side of 0; none where it is always 0."""
    return [(name, -most, most)] if most else []


def shift(name: str, given: Any) -> list[Row]:
    """Return the row of a shift: a number, or shifts to choose from; a whole number n stands for those below it."""
    if not (given if isinstance(given, (int, float, np.generic)) else np.size(given)):
        return []
    is_choice = np.ndim(given) == 1 or (isinstance(given, (int, np.integer)) and given > 0)
    return [(name, given, None)] if is_choice else [(name, -given, given)]


def rows(made: Any) -> list[Row]:
    """Return what an ImageDataGenerator draws for each image, in this order."""
    least, largest = made.zoom_range
    zoom = [] if least == 1 and largest == 1 else [("zx", least, largest), ("zy", least, largest)]
    ranges = {
        name.removesuffix("_range"): getattr(made, name) for name in ("contrast_range", "blur_range", "sharpen_range")
    }
    return [
        *symmetric("theta", made.rotation_range),
        *shift("tx", made.height_shift_range),
        *shift("ty", made.width_shift_range),
        *symmetric("shear", made.shear_range),
        *zoom,
        *((name, 0, 1) for name in _FLIPS),
        *symmetric("channel_shift_intensity", made.channel_shift_range),
        *([] if made.brightness_range is None else [("brightness", *made.brightness_range)]),
        *symmetric("stretch", np.log1p(made.stretch_range)),
        *((name, *given) for name, given in ranges.items() if given is not None),
        *([("noise", 0, made.noise_range), ("noise_seed", 0, 1)] if made.noise_range else []),
        *([("cutout_y", 0, 1), ("cutout_x", 0, 1)] if made.cutout else []),
    ]


def draw(made: Any, size: Sequence[int], count: int) -> dict[str, Array]:
    """Draw the parameters of ``count`` images of a size (rows, columns), as columns (count,)."""
    table = rows(made)
    if all(largest is not None for _, _, largest in table):
        limits = np.array([row[1:] for row in table], float)
        values = np.random.uniform(limits[:, 0], limits[:, 1], (count, len(table)))
    else:
        values = np.array([[_one(*row[1:]) for row in table] for _ in range(count)], float).reshape(count, -1)
    columns: dict[str, Array] = {name: values[:, k] for k, (name, _, _) in enumerate(table)}
    for name, flips in zip(_FLIPS, (made.horizontal_flip, made.vertical_flip), strict=True):
        columns[name] = (columns[name] < 0.5) * float(flips)
    for name, given, length in (("tx", made.height_shift_range, size[0]), ("ty", made.width_shift_range, size[1])):
        if name in columns and np.max(given) < 1:
            columns[name] = columns[name] * length
    if "noise_seed" in columns:
        columns["noise_seed"] = np.floor(columns["noise_seed"] * _NOISES)
    if "stretch" in columns:
        _stretch(columns)
    return columns


def _one(least: Any, largest: Any) -> Any:
    if largest is not None:
        return np.random.uniform(least, largest)
    return np.random.choice(least) * np.random.choice([-1, 1])


def _stretch(columns: dict[str, Array]) -> None:
    """Make columns wider and rows narrower, or the other way round, by the same factor: the area stays."""
    factor = np.exp(columns.pop("stretch") / 2)
    one = np.ones_like(factor)
    columns["zx"], columns["zy"] = columns.get("zx", one) * factor, columns.get("zy", one) / factor
