"""Image files: read to Pillow's images, to arrays and back, with errors that name the file."""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from convia import config
from convia.errors import explain, nearest

_MODES = {  # color_mode → (mode to convert to, modes that stay as they are)
    "grayscale": ("L", ("L", "I;16", "I")),
    "rgb": ("RGB", ("RGB",)),
    "rgba": ("RGBA", ("RGBA",)),
}
UNREADABLE = (OSError, Image.DecompressionBombError)  # what load_img raises for files that are no whole images
_SCRIPTS = ("EPS", "WMF")  # formats that other programs draw: only where the file's name says so
_RESAMPLING = {name.lower(): method for name, method in Image.Resampling.__members__.items()}


def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO | Image.Image,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image.Image:
    """Read an image file.

    Args:
        path: the file, a BytesIO with its content, or a file that Pillow opened.
        color_mode: "rgb", "rgba" or "grayscale" (16- and 32-bit grey images stay so).
        target_size: (height, width) to resize to.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: cut out the centre in the target's proportions before resizing.

    Raises:
        OSError: not there, not an image, or cut short.
        PIL.Image.DecompressionBombError: more pixels than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
        ValueError: unknown color_mode or interpolation.
    """
    return fit_img(_open(path), *_checked(color_mode, target_size, interpolation), keep_aspect_ratio)


def fit_img(img: Image.Image, color_mode: str, size: Any, interpolation: str, keep_aspect_ratio: bool) -> Image.Image:
    """Return an image in a colour mode and of a size (height, width), as ``load_img`` does; None keeps the size."""
    mode, kept = _MODES[color_mode]
    if img.mode not in kept:
        img = img.convert(mode)
    if size is None or img.size == (size[1], size[0]):
        return img
    box = centre(img.size, size) if keep_aspect_ratio else None
    return img.resize((size[1], size[0]), _RESAMPLING[interpolation], box=box)


def _checked(color_mode: str, target_size: Any, interpolation: str) -> tuple[str, Any, str]:
    if color_mode not in _MODES:
        raise ValueError(
            explain(
                "load_img, argument 'color_mode'",
                repr(color_mode),
                f"one of {list(_MODES)}",
                nearest(color_mode, _MODES),
            )
        )
    if interpolation not in _RESAMPLING and target_size is not None:
        expected = f"one of {list(_RESAMPLING)}"
        raise ValueError(explain("load_img, argument 'interpolation'", repr(interpolation), expected))
    return color_mode, target_size, interpolation


def _open(path: Any) -> Image.Image:
    if isinstance(path, Image.Image):
        with _explained("the image in memory", 1):
            path.load()
        return path
    if not isinstance(path, (str, bytes, os.PathLike, io.BytesIO)):
        raise TypeError(explain("load_img, argument 'path'", f"{type(path).__name__}", "a path or an io.BytesIO"))
    if isinstance(path, io.BytesIO):
        name, content = "the image in memory", path
    else:
        name = os.fsdecode(path)
        content = io.BytesIO(read_bytes(name))
    with _explained(name, content.getbuffer().nbytes):
        img = _identified(content, name)
        img.load()
    return img


def header(path: str) -> tuple[tuple[int, int], str]:
    """Return an image's (width, height) and Pillow's mode without reading its pixels; errors are ``load_img``'s."""
    _check_kind(path)
    with _explained(path, Path(path).stat().st_size), _identified(path, path) as img:
        return img.size, img.mode


def _identified(source: Any, name: str) -> Image.Image:
    """Open an image; Pillow imports what reads seldom formats only where the usual ones do not fit."""
    Image.preinit()
    usual = [form for form in Image.ID if form not in _SCRIPTS]
    with contextlib.suppress(UnidentifiedImageError):
        return Image.open(source, formats=usual)
    return Image.open(source, formats=open_formats(name))


@contextlib.contextmanager
def _explained(name: str, size: int) -> Iterator[None]:
    """Turn what Pillow raises for a file of so many bytes into errors that name it and say what to do."""
    try:
        yield
    except UnidentifiedImageError:
        received = "no image" if size else "an empty file"
        remedy = "Check that the download or copy was complete, and that the file is what its extension says."
        raise UnidentifiedImageError(explain(name, received, "an image file", remedy)) from None
    except Image.DecompressionBombError as error:
        remedy = "If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS."
        raise Image.DecompressionBombError(explain(name, f"a huge image ({error})", "a smaller one", remedy)) from None
    except Warning:  # where the user turned warnings into errors
        raise
    except Exception as error:  # Pillow's plugins raise anything on damaged files
        remedy = "The file is damaged or incomplete; copy it again or delete it."
        reason = str(error) or type(error).__name__
        raise OSError(
            explain(name, f"an image that cannot be read ({reason})", "a whole image file", remedy)
        ) from error


def _check_kind(path: str) -> None:
    """Refuse pipes and devices, from which reading might never end."""
    kind = os.stat(path).st_mode  # noqa: PTH116 - in a hurry
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(explain(path, "a pipe or a device", "a file"))


def read_bytes(path: str) -> bytes:
    """Return a file's content.

    Raises:
        OSError: not there, or a pipe or a device.
    """
    _check_kind(path)
    with io.FileIO(path) as file:
        return file.readall()


def open_formats(name: str) -> list[str] | None:
    """Return the formats that a file of this name may have: no scripts in a .png."""
    if Path(name).suffix.lower() in (".eps", ".ps", ".wmf", ".emf"):
        return None
    Image.init()
    return [form for form in Image.ID if form not in _SCRIPTS]


def centre(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest centred box (left, top, right, bottom) with the proportions of target (height, width)."""
    width, height = size
    crop_height = min(height, width * target[0] // target[1])
    crop_width = min(width, height * target[1] // target[0])
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> npt.NDArray[Any]:
    """Return an image's values as an array (H, W, C), or (C, H, W) for channels_first; floatx unless told otherwise.

    Raises:
        ValueError: not an image of rank 2 or 3.
    """
    order = config.standardize_data_format(data_format)
    x = np.asarray(img, dtype=dtype or config.floatx())
    if x.ndim == 2:
        x = x[..., None]  # (H, W, 1)
    if x.ndim != 3:
        raise ValueError(explain("img_to_array", f"an array of shape {x.shape}", "one image, (H, W) or (H, W, C)"))
    return x.transpose(2, 0, 1) if order == "channels_first" else x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Image.Image:
    """Return an array (H, W, C) with 1, 3 or 4 channels as Pillow's image.

    Args:
        x: an array, a tensor or lists.
        data_format: "channels_last" or "channels_first"; the library's by default.
        scale: stretch the values so that the least is 0 and the largest 255.
        dtype: type to compute in; floatx by default.

    Raises:
        ValueError: another rank or number of channels.
    """
    order = config.standardize_data_format(data_format)
    values = x.detach().cpu() if isinstance(x, torch.Tensor) else x
    values = np.asarray(values, dtype=dtype or config.floatx())
    if values.ndim != 3:
        remedy = "Give one image of a batch: batch[0]." if values.ndim == 4 else ""
        raise ValueError(explain("array_to_img", f"an array of shape {values.shape}", "one image, of rank 3", remedy))
    if order == "channels_first":
        values = values.transpose(1, 2, 0)
    channels = values.shape[2]
    if channels not in (1, 3, 4):
        remedy = "Did you mean the other data_format?" if values.shape[0] in (1, 3, 4) else ""
        expected = "1, 3 or 4 (grey, RGB, RGBA)"
        raise ValueError(explain("array_to_img", f"{channels} channels in shape {values.shape}", expected, remedy))
    if scale:
        values = values - values.min()
        largest = values.max()
        values = (values / largest if largest else values) * 255
    if channels == 1 and values.max() > 255:
        return Image.fromarray(values[..., 0].astype("int32"))  # mode "I"
    pixels = values.astype("uint8")
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Write an array as an image file.

    Args:
        path: the file, or a file object (then ``file_format`` is needed).
        x, data_format, scale: see :func:`array_to_img`.
        file_format: "png", "jpeg", …; by default what the file's extension says.
        **kwargs: options of ``PIL.Image.Image.save``.

    Raises:
        ValueError: unknown format, or an array that is no image.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    img = array_to_img(x, data_format=data_format, scale=scale)
    if img.mode == "RGBA" and file_format and file_format.lower() == "jpeg":
        text = explain("save_img", "an image with transparency", "RGB for JPEG", "The transparency is dropped.")
        warnings.warn(text, stacklevel=2)
        img = img.convert("RGB")
    try:
        img.save(path, format=file_format or None, **kwargs)
    except KeyError:
        expected = "a format such as 'png' or 'jpeg'"
        raise ValueError(explain("save_img, argument 'file_format'", repr(file_format), expected)) from None
