"""``scipy.misc``: the functions for images that SciPy had until 1.2 (2018), on Pillow."""

from typing import Any

import numpy as np
from PIL import Image

_FILTERS = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS,
            "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
            "cubic": Image.Resampling.BICUBIC}  # fmt: skip


def bytescale(data: Any, cmin: Any = None, cmax: Any = None, high: int = 255, low: int = 0) -> np.ndarray:
    """Scale numbers from their least…greatest to 0…255; bytes stay as they are."""
    pixels: np.ndarray = np.asarray(data)
    if pixels.dtype == np.uint8:
        return pixels
    least, most = pixels.min() if cmin is None else cmin, pixels.max() if cmax is None else cmax
    scaled = (pixels * 1.0 - least) * ((high - low) / ((most - least) or 1)) + low
    stretched: np.ndarray = (scaled.clip(low, high) + 0.5).astype(np.uint8)
    return stretched


def toimage(arr: Any, high: int = 255, low: int = 0, cmin: Any = None, cmax: Any = None, pal: Any = None,
            mode: Any = None, channel_axis: Any = None) -> Any:  # fmt: skip
    """Return a picture of an array (H, W), (H, W, 3 or 4) or (3 or 4, H, W), scaled to bytes."""
    data = bytescale(arr, cmin, cmax, high, low)
    axis = channel_axis if channel_axis is not None or data.ndim < 3 or data.shape[-1] in (3, 4) else 0
    picture = Image.fromarray(data if axis is None else np.moveaxis(data, axis, -1))
    return picture if mode in (None, "P") else picture.convert(mode)


def imread(name: Any, flatten: bool = False, mode: Any = None) -> np.ndarray:
    """Read an image file: bytes (H, W, channels); floats (H, W) with ``flatten``."""
    with Image.open(name) as picture:
        kept = picture.convert(mode) if mode else picture.convert("RGB") if picture.mode == "P" else picture
        return np.asarray(kept.convert("F") if flatten else kept)


def imsave(name: Any, arr: Any, format: Any = None) -> None:
    """Write an array as an image file."""
    toimage(arr, channel_axis=2 if np.ndim(arr) == 3 else None).save(name, format)


def imresize(arr: Any, size: Any, interp: str = "bilinear", mode: Any = None) -> np.ndarray:
    """Return bytes of another size: (height, width), a percentage as a whole number, or a factor."""
    picture = toimage(arr, mode=mode)
    if isinstance(size, (int, np.integer)):
        size = size / 100.0
    if isinstance(size, float):
        width, height = (int(side * size) for side in picture.size)
    else:
        height, width = int(size[0]), int(size[1])
    return np.asarray(picture.resize((width, height), _FILTERS[interp]))


def imrotate(arr: Any, angle: float, interp: str = "bilinear") -> np.ndarray:
    """Return bytes turned counter-clockwise by degrees."""
    return np.asarray(toimage(arr).rotate(angle, resample=_FILTERS[interp]))


def fromimage(im: Any, flatten: bool = False, mode: Any = None) -> np.ndarray:
    """Return the array of a picture."""
    return np.asarray(im.convert("F") if flatten else im.convert(mode) if mode else im)


def imshow(arr: Any) -> None:
    """Show an array as a picture."""
    toimage(arr).show()


__all__ = ["bytescale", "fromimage", "imread", "imresize", "imrotate", "imsave", "imshow", "toimage"]
