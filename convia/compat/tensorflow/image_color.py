"""Colors of images, and random changes of images: the rest of ``tf.image``.

Each random function is a draw and a function of what was drawn; the ``stateless_`` ones draw from a seed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import ops
from convia.compat.tensorflow import image as images
from convia.compat.tensorflow.door import api, given, numbers
from convia.compat.tensorflow.randomness import stateless_uniform, uniform
from convia.errors import explain

_GREY = (0.2989, 0.5870, 0.1140)
_MATRICES = {  # a color, as a row, times it; ITU-R BT.601 as TensorFlow rounds it
    "yiq": ((0.299, 0.59590059, 0.2115), (0.587, -0.27455667, -0.52273617), (0.114, -0.32134392, 0.31119955)),
    "from yiq": ((1.0, 1.0, 1.0), (0.95598634, -0.27201283, -1.10674021), (0.6208248, -0.64720424, 1.70423049)),
    "from yuv": ((1.0, 1.0, 1.0), (0.0, -0.394642334, 2.03206185), (1.13988303, -0.58062185, 0.0)),
    "yuv": ((0.299, -0.14714119, 0.61497538), (0.587, -0.28886916, -0.51496512), (0.114, 0.43601035, -0.10001026)),
}


def _as_floats(change: Callable[..., Tensor]) -> Callable[..., Any]:
    """Compute in float32 in 0…1 and return the image's own type and range."""

    def changed(image: Any, *args: Any) -> Any:
        x = given(image)
        kind = x.dtype
        result = change(images.convert_image_dtype(x, kind if x.is_floating_point() else torch.float32), *args)
        return images.convert_image_dtype(result, kind, saturate=True)

    return changed


@api
def rgb_to_grayscale(images: Any) -> Any:
    """Return images (…, 1): 0.2989·R + 0.5870·G + 0.1140·B."""
    return _grey(images)


@_as_floats
def _grey(x: Tensor) -> Tensor:
    return (x * torch.tensor(_GREY, dtype=x.dtype)).sum(-1, keepdim=True)


@api
def grayscale_to_rgb(images: Any) -> Any:
    """Return images (…, 3) of images (…, 1)."""
    x = given(images)
    return x.expand(*x.shape[:-1], 3).clone()


@api
def rgb_to_hsv(images: Any) -> Any:
    """Return hue, saturation and value, all in 0…1."""
    return ops.image.rgb_to_hsv(given(images), "channels_last")


@api
def hsv_to_rgb(images: Any) -> Any:
    """Return the colors of hue, saturation and value."""
    return ops.image.hsv_to_rgb(given(images), "channels_last")


def _linear(space: str, doc: str) -> Callable[..., Any]:
    def converted(images: Any) -> Any:
        x = given(images)
        return x @ torch.tensor(_MATRICES[space], dtype=x.dtype)

    converted.__doc__ = doc
    return api(converted)


rgb_to_yiq = _linear("yiq", "Return luma and two chroma channels of NTSC.")
yiq_to_rgb = _linear("from yiq", "Return the colors of YIQ.")
rgb_to_yuv = _linear("yuv", "Return luma and two chroma channels of PAL.")
yuv_to_rgb = _linear("from yuv", "Return the colors of YUV.")


@api
def adjust_brightness(image: Any, delta: Any) -> Any:
    """Return the image with a number added, in shares of the greatest value."""
    return _brighter(image, float(delta))


@_as_floats
def _brighter(x: Tensor, delta: float) -> Tensor:
    return x + delta


@api
def adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    """Return (x − mean)·factor + mean, the mean that of each channel."""
    return _contrasted(images, float(contrast_factor))


@_as_floats
def _contrasted(x: Tensor, factor: float) -> Tensor:
    mean = x.mean((-3, -2), keepdim=True)
    return (x - mean) * factor + mean


@api
def adjust_saturation(image: Any, saturation_factor: Any) -> Any:
    """Return the image with its saturation multiplied."""
    return _saturated(image, float(saturation_factor))


@_as_floats
def _saturated(x: Tensor, factor: float) -> Tensor:
    hue, saturation, value = ops.image.rgb_to_hsv(x, "channels_last").unbind(-1)
    colors: Tensor = ops.image.hsv_to_rgb(
        torch.stack([hue, (saturation * factor).clamp(0, 1), value], -1), "channels_last"
    )
    return colors


@api
def adjust_hue(image: Any, delta: Any) -> Any:
    """Return the image with its hues moved by a share of the circle."""
    return _tinted(image, float(delta))


@_as_floats
def _tinted(x: Tensor, delta: float) -> Tensor:
    hue, saturation, value = ops.image.rgb_to_hsv(x, "channels_last").unbind(-1)
    colors: Tensor = ops.image.hsv_to_rgb(torch.stack([(hue + delta) % 1, saturation, value], -1), "channels_last")
    return colors


@api
def adjust_gamma(image: Any, gamma: Any = 1, gain: Any = 1) -> Any:
    """Return gain·x^gamma."""
    return _powered(image, float(gamma), float(gain))


@_as_floats
def _powered(x: Tensor, gamma: float, gain: float) -> Tensor:
    return gain * x**gamma


Draw = Callable[..., Tensor]


def _flipped(axis: int) -> Callable[..., Any]:
    def change(image: Any, draw: Draw) -> Any:
        x = given(image)
        if x.ndim == 3:
            return x.flip(axis) if float(draw(())) < 0.5 else x
        return torch.where(draw((len(x), 1, 1, 1)) < 0.5, x.flip(axis), x)

    return change


def _between(change: Callable[..., Any], who: str) -> Callable[..., Any]:
    def changed(image: Any, lower: Any, upper: Any, draw: Draw) -> Any:
        if float(upper) <= float(lower):
            raise ValueError(explain(who, f"lower={lower}, upper={upper}", "lower < upper"))
        return change(image, float(draw((), float(lower), float(upper))))

    return changed


def _around(change: Callable[..., Any], who: str) -> Callable[..., Any]:
    def changed(image: Any, max_delta: Any, draw: Draw) -> Any:
        if float(max_delta) < 0:
            raise ValueError(explain(who, f"max_delta={max_delta}", "a number ≥ 0"))
        return change(image, float(draw((), -float(max_delta), float(max_delta))))

    return changed


def _cropped(value: Any, size: Any, draw: Draw) -> Any:
    """The part of a size from a random corner on, along all axes."""
    x, wanted = given(value), numbers(size)
    wanted = tuple(have if want == -1 else want for have, want in zip(x.shape, wanted, strict=True))
    if any(want > have for have, want in zip(x.shape, wanted, strict=True)):
        raise ValueError(explain("tf.image.random_crop", f"size {wanted} of shape {tuple(x.shape)}", "a smaller size"))
    share = draw((len(wanted),)).tolist()
    for axis, (have, want) in enumerate(zip(x.shape, wanted, strict=True)):
        x = x.narrow(axis, min(int(share[axis] * (have - want + 1)), have - want), want)
    return x


# name of the function → what it does with the image, its arguments and a draw; the names of those arguments
_RANDOM: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "brightness": (_around(adjust_brightness, "tf.image.random_brightness"), ("image", "max_delta")),
    "contrast": (_between(adjust_contrast, "tf.image.random_contrast"), ("image", "lower", "upper")),
    "crop": (_cropped, ("value", "size")),
    "flip_left_right": (_flipped(-2), ("image",)),
    "flip_up_down": (_flipped(-3), ("image",)),
    "hue": (_around(adjust_hue, "tf.image.random_hue"), ("image", "max_delta")),
    "saturation": (_between(adjust_saturation, "tf.image.random_saturation"), ("image", "lower", "upper")),
}


def _randomly(change: Callable[..., Any], names: tuple[str, ...], stateless: bool) -> Callable[..., Any]:
    def changed(*args: Any, **kwargs: Any) -> Any:
        values = {**dict(zip((*names, "seed"), args, strict=False)), **kwargs}
        seed = values.get("seed")

        def draw(shape: Any, low: float = 0.0, high: float = 1.0) -> Tensor:
            drawn: Tensor = (
                stateless_uniform(shape, seed, low, high) if stateless else uniform(shape, low, high, seed=seed)
            )
            return drawn

        return change(*(values[name] for name in names), draw)

    changed.__doc__ = "Change the image at random."
    return api(changed)


RANDOM = {
    f"{prefix}random_{name}": _randomly(change, names, bool(prefix))
    for name, (change, names) in _RANDOM.items()
    for prefix in ("", "stateless_")
}


def sample_distorted_bounding_box(
    image_size: Any,
    bounding_boxes: Any,
    seed: Any = 0,
    min_object_covered: float = 0.1,
    aspect_ratio_range: Any = (0.75, 1.33),
    area_range: Any = (0.05, 1.0),
    max_attempts: int = 100,
    use_image_if_no_bounding_boxes: bool = False,
    name: Any = None,
) -> Any:
    """Draw a part of an image: its corner (3,), its size (3,) for tf.slice, and the box (1, 1, 4).

    Parts with an aspect ratio and an area within the ranges are drawn until one covers enough of a box.
    """
    height, width = numbers(image_size)[:2]
    boxes = given(bounding_boxes).reshape(-1, 4).float()
    boxes = boxes if len(boxes) else torch.tensor([[0.0, 0, 1, 1]])
    chosen = (0, 0, height, width)
    for _ in range(max_attempts):
        ratio, area = (float(uniform((), *limits)) for limits in (aspect_ratio_range, area_range))
        rows = round((area * height * width / ratio) ** 0.5)
        columns = round(rows * ratio)
        if not (0 < rows <= height and 0 < columns <= width):
            continue
        top, left = (int(uniform((), 0, room + 1, "int32")) for room in (height - rows, width - columns))
        part = torch.tensor([top / height, left / width, (top + rows) / height, (left + columns) / width])
        shared = (torch.minimum(part[2:], boxes[:, 2:]) - torch.maximum(part[:2], boxes[:, :2])).clamp(min=0).prod(-1)
        if bool((shared >= min_object_covered * (boxes[:, 2:] - boxes[:, :2]).prod(-1)).any()):
            chosen = (top, left, rows, columns)
            break
    top, left, rows, columns = chosen
    box = torch.tensor([[[top / height, left / width, (top + rows) / height, (left + columns) / width]]])
    return torch.tensor([top, left, 0]), torch.tensor([rows, columns, -1]), box


__all__ = [
    "RANDOM", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "grayscale_to_rgb", "hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv", "rgb_to_yiq",
    "rgb_to_yuv", "sample_distorted_bounding_box", "yiq_to_rgb", "yuv_to_rgb",
]  # fmt: skip
