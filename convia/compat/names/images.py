"""``keras.preprocessing.image`` of Keras 1 and 2: functions of single images that it had besides."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.images import splines
from convia.images.transforms import flip_axis

Array = npt.NDArray[Any]


def list_pictures(directory: Any, ext: str = "jpg|jpeg|bmp|png|ppm") -> list[str]:
    """Return the paths of images in a folder and those within it, by their endings."""
    endings = re.compile(rf"\w+\.(?:{ext})")
    return [str(Path(root, name)) for root, _, names in os.walk(directory) for name in names if endings.match(name)]


def transform_matrix_offset_center(matrix: Any, x: float, y: float) -> Array:
    """Return a transformation (3, 3) as one about the middle of an image of x rows and y columns."""
    middle, back = np.eye(3), np.eye(3)
    middle[:2, 2] = x / 2 + 0.5, y / 2 + 0.5
    back[:2, 2] = -middle[:2, 2]
    moved: Array = middle @ np.asarray(matrix) @ back
    return moved


def apply_transform(
    x: Any, transform_matrix: Any, channel_axis: int = 0, fill_mode: str = "nearest", cval: float = 0.0
) -> Array:
    """Return an image whose pixel (row, column) is read where a matrix (3, 3) takes it, the nearest pixel there."""
    splines.check("apply_transform", 0, fill_mode)
    pixels, matrix = np.moveaxis(np.asarray(x), channel_axis, 2)[None], np.asarray(transform_matrix, float)[None]
    warped = splines.warp(pixels, matrix[:, :2, :2], matrix[:, :2, 2], 0, fill_mode, cval)[0]
    return np.moveaxis(warped, 2, channel_axis)


__all__ = ["apply_transform", "flip_axis", "list_pictures", "transform_matrix_offset_center"]
