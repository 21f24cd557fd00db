"""From an image file to pixels of one size, exactly as Pillow and Keras do it, or faster."""

import functools
import io
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from convia.images.files import centre, fit_img, load_img, read_bytes
from convia.images.kernels import native
from convia.images.resizing import neighbours, resize

Array = npt.NDArray[Any]
DECODINGS = ("exact", "fast")
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def decode(
    path: str,
    color_mode: str,
    size: tuple[int, int] | None,
    interpolation: str,
    keep_aspect_ratio: bool,
    fast: bool = False,
) -> Any:
    """Return a file as an image (Pillow's, or an array) of a size (height, width).

    The arguments are those of :func:`~convia.images.files.load_img`.

    Args:
        fast: decode photographs (JPEG) at the least of 1/8, 1/4 and 1/2 of their size that is not below the target's,
            in their frequencies: about 4 times less work, and smoother than pixels left out.

    Raises:
        OSError, PIL.Image.DecompressionBombError, ValueError: see there.
    """
    content = read_bytes(path)
    if content[:2] == b"\xff\xd8":
        if fast and size is not None:
            reduced = _reduced(content, _MODES[color_mode], size)
            return load_img(reduced or path, color_mode, size, interpolation, keep_aspect_ratio)
        if (own := _size_of_photograph(content)) is not None:
            if interpolation == "nearest" and size is not None:
                pixels = _nearest(content, own, size, keep_aspect_ratio)
            else:
                pixels = _photograph(content, own)
            if pixels is not None:
                if color_mode == "rgb" and pixels.shape[:2] == (size or own):
                    return pixels
                return fit_img(Image.fromarray(pixels), color_mode, size, interpolation, keep_aspect_ratio)
    return load_img(path, color_mode, size, interpolation, keep_aspect_ratio)


def decode_bilinear(path: str, size: tuple[int, int]) -> Array:
    """Return a file in colours and between its nearest pixels, as :func:`convia.images.resizing.resize` does it.

    Args:
        size: (height, width).

    Raises:
        OSError, PIL.Image.DecompressionBombError: see :func:`~convia.images.files.load_img`.
    """
    kernels, content = native(), read_bytes(path)
    own = _size_of_photograph(content) if kernels is not None else None
    if own is not None and own != size:
        pixels = np.empty((*size, 3), np.float32)
        if kernels.shrink(content, *own, pixels, *neighbours(own[0], size[0]), *neighbours(own[1], size[1])):
            return pixels
    return resize(np.asarray(decode(path, "rgb", None, "nearest", False)), size)


def _size_of_photograph(content: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a whole JPEG in colours that Pillow would not refuse; None for others."""
    size = _size_of_jpeg(content)
    if size is None or content[-2:] != b"\xff\xd9":
        return None
    return size if math.prod(size) <= (Image.MAX_IMAGE_PIXELS or math.inf) else None


def _photograph(content: bytes, size: tuple[int, int]) -> Any:
    """Return all pixels (height, width, RGB) by OpenCV: Pillow's, in less time; None for what it cannot read."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if pixels is None or pixels.shape[:2] != size else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _nearest(content: bytes, own: tuple[int, int], size: tuple[int, int], keep_aspect_ratio: bool) -> Any:
    """Return the pixels that Pillow's nearest-neighbour resizing picks: only these are computed where that can be."""
    box = centre(own[::-1], size) if keep_aspect_ratio else (0, 0, own[1], own[0])
    rows, columns = _picked(box, size)
    kernels = native()
    if kernels is not None:
        picked = np.empty((*size, 3), np.uint8)
        if kernels.pick(content, rows, columns, picked):
            return picked
    pixels = _photograph(content, own)
    return None if pixels is None else pixels.take(rows, 0).take(columns, 1)


@functools.lru_cache(64)
def _picked(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[Array, Array]:
    """Return the rows and columns in a box (left, top, right, bottom) of the result's, rounded as Pillow does."""
    sides = (box[1], box[3], size[0]), (box[0], box[2], size[1])
    rows, columns = (
        np.cumsum([first + (last - first) / count / 2, *[(last - first) / count] * (count - 1)]).astype(np.int64)
        for first, last, count in sides
    )
    return rows, columns


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG of three colours and 8 bits (ITU-T T.81, B.2.2), None for others."""
    at = 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        kind, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if kind in (0xC0, 0xC1, 0xC2):
            bits, colours = content[at + 4], content[at + 9]
            height, width = (int.from_bytes(content[at + k : at + k + 2]) for k in (5, 7))
            return (height, width) if bits == 8 and colours == 3 and height and width else None
        if not 0xE0 <= kind <= 0xEF and kind not in (0xDB, 0xC4, 0xDD, 0xFE):
            return None
        at += 2 + length
    return None


def _reduced(content: bytes, mode: str, size: tuple[int, int]) -> Any:
    """Return a photograph, reduced, as a file that needs no decoding; None where there is nothing to gain."""
    try:
        img = Image.open(io.BytesIO(content))
        before = img.size
        img.draft("L" if mode == "L" else "RGB", (size[1], size[0]))
        if img.size == before:
            return None
        img.load()
    except (OSError, SyntaxError, ValueError, EOFError):
        return None
    file = io.BytesIO()
    img.save(file, "ppm")
    file.seek(0)
    return file
