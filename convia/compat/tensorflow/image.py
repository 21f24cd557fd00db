"""Images as tensors (H, W, C) or batches (N, H, W, C): size, crops, colors, measures: ``tf.image``."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import ops
from convia.compat.tensorflow.door import api, given, number, numbers, torch_dtype
from convia.errors import explain, nearest
from convia.ops.image import scale_and_translate


class ResizeMethod:
    """Ways to resize."""

    BILINEAR, NEAREST_NEIGHBOR, BICUBIC, AREA = "bilinear", "nearest", "bicubic", "area"
    LANCZOS3, LANCZOS5, GAUSSIAN, MITCHELLCUBIC = "lanczos3", "lanczos5", "gaussian", "mitchellcubic"


_METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
_KERNELS = {"bicubic": "cubic", "lanczos3": "lanczos3", "lanczos5": "lanczos5"}


@api
def resize(
    images: Any,
    size: Any,
    method: Any = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    """Return images of another height and width, as float32; "nearest" keeps the type.

    Raises:
        ValueError: an unknown or missing method, a size that is not (height, width).
    """
    images, height_width = given(images), numbers(size)
    method = _METHODS[method] if isinstance(method, int) else str(method).lower()
    if method not in ("bilinear", "nearest", "area", *_KERNELS):
        known = ("bilinear", "nearest", "area", *_KERNELS)
        remedy = nearest(method, known)
        raise ValueError(explain("tf.image.resize, argument 'method'", repr(method), f"one of {known}", remedy))
    if len(height_width) != 2:
        raise ValueError(explain("tf.image.resize, argument 'size'", repr(size), "(height, width)"))
    x = _batch(images)
    if preserve_aspect_ratio:
        share = min(new / old for new, old in zip(height_width, x.shape[1:3], strict=True))
        height_width = tuple(max(1, round(old * share)) for old in x.shape[1:3])
    if tuple(x.shape[1:3]) == tuple(height_width):
        return images if method == "nearest" else images.float()
    result = _resized(x, tuple(height_width), method, antialias)
    return result if images.ndim == 4 else result[0]


def _batch(images: Tensor) -> Tensor:
    if images.ndim not in (3, 4):
        received = f"images of shape {tuple(images.shape)}"
        raise ValueError(explain("tf.image", received, "(height, width, channels), or a batch of such"))
    return images if images.ndim == 4 else images[None]


def _resized(x: Tensor, size: tuple[int, ...], method: str, antialias: bool) -> Tensor:
    if method == "nearest":
        picks = [((torch.arange(n) + 0.5) * (old / n)).long() for n, old in zip(size, x.shape[1:3], strict=True)]
        return x[:, picks[0].clamp(max=x.shape[1] - 1)][:, :, picks[1].clamp(max=x.shape[2] - 1)]
    x = x.float()
    if method in _KERNELS:
        scale = [new / old for new, old in zip(size, x.shape[1:3], strict=True)]
        shape = (x.shape[0], *size, x.shape[3])
        resized: Tensor = scale_and_translate(x, shape, scale, [0.0, 0.0], (1, 2), _KERNELS[method], antialias)
        return resized
    planes = x.permute(0, 3, 1, 2)
    if method == "area":
        return F.adaptive_avg_pool2d(planes, (size[0], size[1])).permute(0, 2, 3, 1)
    found = F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=antialias)
    return found.permute(0, 2, 3, 1)


def _flip(axis: int, doc: str) -> Callable[..., Any]:
    def flipped(image: Any) -> Any:
        return given(image).flip(axis)

    flipped.__doc__ = doc
    return api(flipped)


flip_left_right = _flip(-2, "Return images mirrored left to right.")
flip_up_down = _flip(-3, "Return images mirrored top to bottom.")


@api
def transpose(image: Any) -> Any:
    """Return images with height and width exchanged."""
    return given(image).transpose(-3, -2)


@api
def rot90(image: Any, k: Any = 1) -> Any:
    """Return images turned counter-clockwise by so many quarters."""
    return torch.rot90(given(image), number(k), (-3, -2))


@api
def crop_to_bounding_box(
    image: Any, offset_height: Any, offset_width: Any, target_height: Any, target_width: Any
) -> Any:
    """Return the part of a size from a corner on.

    Raises:
        ValueError: it is not within the image.
    """
    image = given(image)
    top, left, height, width = map(number, (offset_height, offset_width, target_height, target_width))
    if min(top, left) < 0 or top + height > image.shape[-3] or left + width > image.shape[-2]:
        received = f"a box from {(top, left)} of {(height, width)} in an image of {tuple(image.shape[-3:-1])}"
        raise ValueError(explain("tf.image.crop_to_bounding_box", received, "a box within the image"))
    return image.narrow(-3, top, height).narrow(-2, left, width)


@api
def pad_to_bounding_box(
    image: Any, offset_height: Any, offset_width: Any, target_height: Any, target_width: Any
) -> Any:
    """Return an image of zeros of a size with the image at an offset.

    Raises:
        ValueError: the image does not fit.
    """
    image = given(image)
    top, left, height, width = map(number, (offset_height, offset_width, target_height, target_width))
    below, right = height - top - image.shape[-3], width - left - image.shape[-2]
    if min(top, left, below, right) < 0:
        received = f"an image of {tuple(image.shape[-3:-1])} at {(top, left)} in {(height, width)}"
        raise ValueError(explain("tf.image.pad_to_bounding_box", received, "one that fits"))
    return F.pad(image, (0, 0, left, right, top, below))


@api
def central_crop(image: Any, central_fraction: Any) -> Any:
    """Return the middle, a fraction of height and width.

    Raises:
        ValueError: a fraction outside (0, 1].
    """
    image, share = given(image), float(central_fraction)
    if not 0 < share <= 1:
        raise ValueError(explain("tf.image.central_crop, argument 'central_fraction'", share, "above 0, up to 1"))
    top, left = (int((size - size * share) / 2) for size in image.shape[-3:-1])
    height, width = image.shape[-3:-1]
    return image[..., top : height - top, left : width - left, :]


@api
def resize_with_crop_or_pad(image: Any, target_height: Any, target_width: Any) -> Any:
    """Return the middle of an image, with zeros around where it is too small."""
    image = given(image)
    for axis, size in ((-3, number(target_height)), (-2, number(target_width))):
        have = image.shape[axis]
        if have > size:
            image = image.narrow(axis, (have - size) // 2, size)
        before = max(size - have, 0) // 2
        widths = [0, 0] * (-axis - 1) + [before, max(size - have, 0) - before]
        image = F.pad(image, widths)
    return image


@api
def resize_with_pad(
    image: Any, target_height: Any, target_width: Any, method: Any = "bilinear", antialias: bool = False
) -> Any:
    """Return images resized within a size, their proportions kept, with zeros around."""
    image = given(image)
    target = number(target_height), number(target_width)
    height, width = image.shape[-3:-1]
    ratio = max(width / target[1], height / target[0])
    inner = math.floor(height / ratio), math.floor(width / ratio)
    top, left = (
        max(0, math.floor((want - size / ratio) / 2)) for want, size in zip(target, (height, width), strict=True)
    )
    return pad_to_bounding_box(resize(image, inner, method, antialias=antialias), top, left, *target)


@api
def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> Any:
    """Return parts of images, boxes (y1, x1, y2, x2) in shares of the size, in one size; corners meet corners."""
    x, boxes, which = given(image).float(), given(boxes).float(), given(box_indices).long()
    rows, columns = numbers(crop_size)
    limits = float(x.shape[1] - 1), float(x.shape[2] - 1)
    grids = []
    for axis, count in enumerate((rows, columns)):
        first, last = boxes[:, axis] * limits[axis], boxes[:, axis + 2] * limits[axis]
        share = torch.arange(count) / (count - 1) if count > 1 else torch.tensor([0.5])
        grids.append(first[:, None] + share * (last - first)[:, None])
    y, z = (grid * 2 / max(limit, 1.0) - 1 for grid, limit in zip(grids, limits, strict=True))
    grid = torch.stack([z[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], -1)
    planes = x[which].permute(0, 3, 1, 2)
    found = F.grid_sample(planes, grid, mode=method, padding_mode="border", align_corners=True)
    inside = (grid.abs() <= 1 + 1e-6).all(-1)[:, None]
    return torch.where(inside, found, extrapolation_value).permute(0, 2, 3, 1)


@api
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: str) -> Any:
    """Return windows (N, rows, columns, height·width·C) of images, as sizes (1, height, width, 1) say."""
    size, steps, holes = (numbers(value)[1:3] for value in (sizes, strides, rates))
    return ops.image.extract_patches(given(images), size, steps, holes, padding.lower(), "channels_last")


@api
def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False) -> Any:
    """Return an image in another type, scaled: fractions are 0…1, whole numbers use the whole range of their type."""
    x = given(image)
    kind: torch.dtype = torch_dtype(dtype) or x.dtype
    if x.dtype == kind:
        return x
    greatest = {t: torch.iinfo(t).max for t in (x.dtype, kind) if not t.is_floating_point}
    if x.is_floating_point():
        if kind.is_floating_point:
            return x.to(kind)
        return (
            ops.saturate_cast(x * (greatest[kind] + 0.5), kind) if saturate else (x * (greatest[kind] + 0.5)).to(kind)
        )
    if kind.is_floating_point:
        return x.to(kind) * (1.0 / greatest[x.dtype])
    if greatest[x.dtype] > greatest[kind]:
        return (x // ((greatest[x.dtype] + 1) // (greatest[kind] + 1))).to(kind)
    return x.to(kind) * ((greatest[kind] + 1) // (greatest[x.dtype] + 1))


@api
def per_image_standardization(image: Any) -> Any:
    """Return (x − mean)/max(deviation, 1/√elements) of each image."""
    x = given(image).float()
    axes = (-3, -2, -1)
    deviation = x.std(axes, correction=0, keepdim=True)
    return (x - x.mean(axes, keepdim=True)) / deviation.clamp(min=1 / math.sqrt(math.prod(x.shape[-3:])))


@api
def total_variation(images: Any) -> Any:
    """Return the sum of absolute differences of neighbouring pixels of each image."""
    x = given(images)
    return sum(x.diff(dim=axis).abs().sum((-3, -2, -1)) for axis in (-3, -2))


@api
def image_gradients(image: Any) -> Any:
    """Return differences (dy, dx) of neighbouring pixels of a batch, 0 in the last row and column."""
    x = given(image)
    return F.pad(x.diff(dim=1), (0, 0, 0, 0, 0, 1)), F.pad(x.diff(dim=2), (0, 0, 0, 1))


@api
def sobel_edges(image: Any) -> Any:
    """Return vertical and horizontal differences (N, H, W, C, 2) after Sobel, edges mirrored."""
    x = given(image).permute(0, 3, 1, 2)
    kernel = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]], dtype=x.dtype)
    count, wide = x.shape[1], F.pad(x, (1, 1, 1, 1), mode="reflect")
    found = [F.conv2d(wide, k.expand(count, 1, 3, 3), groups=count) for k in (kernel, kernel.T)]
    return torch.stack([y.permute(0, 2, 3, 1) for y in found], -1)


@api
def psnr(a: Any, b: Any, max_val: Any) -> Any:
    """Return the peak signal-to-noise ratio in decibels of each pair of images."""
    one, two = (convert_image_dtype(given(x), "float32") for x in (a, b))
    peak = given(max_val)
    peak = convert_image_dtype(given(max_val, given(a).dtype), "float32") if not given(a).is_floating_point() else peak
    error = (one - two).square().mean((-3, -2, -1))
    return (20 * torch.log10(peak.float()) - 10 * torch.log10(error)).float()


def _ssim_parts(x: Tensor, y: Tensor, peak: float, size: int, sigma: float, k1: float, k2: float) -> Any:
    """Local similarity and contrast, (…, windows, C) each (Wang et al. 2004)."""
    offsets = torch.arange(size, dtype=x.dtype) - (size - 1) / 2
    weights = torch.softmax((-(offsets**2)[:, None] / (2 * sigma**2) - (offsets**2) / (2 * sigma**2)).reshape(-1), 0)
    kernel = weights.reshape(1, 1, size, size)

    def local(values: Tensor) -> Tensor:
        planes = values.reshape(-1, *values.shape[-3:]).permute(0, 3, 1, 2)
        found = F.conv2d(planes, kernel.expand(planes.shape[1], -1, -1, -1), groups=planes.shape[1])
        return found.permute(0, 2, 3, 1).reshape(*values.shape[:-3], -1, values.shape[-1])

    c1, c2 = (k1 * peak) ** 2, (k2 * peak) ** 2
    mean_x, mean_y = local(x), local(y)
    products = mean_x * mean_y * 2, mean_x.square() + mean_y.square()
    luminance = (products[0] + c1) / (products[1] + c1)
    contrast = (local(x * y) * 2 - products[0] + c2) / (local(x.square() + y.square()) - products[1] + c2)
    return luminance * contrast, contrast


def _alike_images(img1: Any, img2: Any, max_val: Any) -> tuple[Tensor, Tensor, float]:
    one, two = given(img1), given(img2)
    peak = float(max_val) if one.is_floating_point() else float(max_val) / torch.iinfo(one.dtype).max
    return convert_image_dtype(one, "float32"), convert_image_dtype(two, "float32"), peak


@api
def ssim(
    img1: Any,
    img2: Any,
    max_val: Any,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    return_index_map: bool = False,
) -> Any:
    """Return the structural similarity of each pair of images, 1 for equal ones."""
    one, two, peak = _alike_images(img1, img2, max_val)
    found, _ = _ssim_parts(one, two, peak, filter_size, filter_sigma, k1, k2)
    return found.mean(-1) if return_index_map else found.mean((-2, -1))


@api
def ssim_multiscale(
    img1: Any,
    img2: Any,
    max_val: Any,
    power_factors: Any = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333),
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Any:
    """Return the structural similarity over several scales of each pair of images (Wang et al. 2003)."""
    one, two, peak = _alike_images(img1, img2, max_val)
    result: Any = 1.0
    for place, power in enumerate(power_factors):
        if place:
            one, two = (_halved(x) for x in (one, two))
        whole, contrast = _ssim_parts(one, two, peak, filter_size, filter_sigma, k1, k2)
        last = place == len(power_factors) - 1
        result = result * F.relu((whole if last else contrast).mean(-2)) ** power
    return result.mean(-1)


def _halved(x: Tensor) -> Tensor:
    planes = x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2)
    odd = [size % 2 for size in planes.shape[2:]]
    planes = F.pad(planes, (0, odd[1], 0, odd[0]), mode="replicate") if any(odd) else planes
    found = F.avg_pool2d(planes, 2).permute(0, 2, 3, 1)
    return found.reshape(*x.shape[:-3], *found.shape[1:])


@api
def draw_bounding_boxes(images: Any, boxes: Any, colors: Any = None) -> Any:
    """Return images with the edges of boxes (y1, x1, y2, x2), in shares of the size, drawn one pixel wide."""
    result = given(images).float().clone()
    palette = torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0.5, 0, 0.5, 1]])
    palette = palette if colors is None else given(colors).float()
    height, width, channels = result.shape[1:]
    for picture, own in zip(result, given(boxes).float(), strict=True):
        for number_, box in enumerate(own):
            y1, x1, y2, x2 = (box * torch.tensor([height - 1, width - 1, height - 1, width - 1])).long().tolist()
            top, left, bottom, right = max(y1, 0), max(x1, 0), min(y2, height - 1), min(x2, width - 1)
            color = palette[number_ % len(palette)][:channels]
            for row in {y1, y2} & set(range(height)):
                picture[row, left : right + 1] = color
            for column in {x1, x2} & set(range(width)):
                picture[top : bottom + 1, column] = color
    return result


# -- of TensorFlow 1 --------------------------------------------------------------------------------------------------


def _positions(old: int, new: int, align_corners: bool) -> Tensor:
    """Where TensorFlow 1 looked for the pixels of an axis: at i·old/new, or with the corners on each other."""
    scale = (old - 1) / (new - 1) if align_corners and new > 1 else old / new
    return torch.arange(new) * scale


def _between(x: Tensor, size: int, axis: int, align_corners: bool) -> Tensor:
    """Interpolate linearly along an axis."""
    place = _positions(x.shape[axis], size, align_corners)
    low = place.long().clamp(max=x.shape[axis] - 1)
    share = (place - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)]).to(x.device)
    high = (low + 1).clamp(max=x.shape[axis] - 1)
    return x.index_select(axis, low.to(x.device)) * (1 - share) + x.index_select(axis, high.to(x.device)) * share


@api
def resize_images(images: Any, size: Any, method: Any = 0, align_corners: bool = False,
                  preserve_aspect_ratio: bool = False) -> Any:  # fmt: skip
    """Resize as TensorFlow 1 did: pixel i of the result lies at i·old/new, without half a pixel's offset."""
    images, (height, width) = given(images), numbers(size)
    method = _METHODS[method] if isinstance(method, int) else str(method).lower()
    if method not in ("bilinear", "nearest") or preserve_aspect_ratio:
        return resize(images, size, method, preserve_aspect_ratio)
    x = _batch(images)
    if method == "bilinear":
        x = _between(_between(x.float(), height, 1, align_corners), width, 2, align_corners)
    else:
        for axis, new in ((1, height), (2, width)):
            place = _positions(x.shape[axis], new, align_corners)
            picked = place.round() if align_corners else place.floor()
            x = x.index_select(axis, picked.long().clamp(max=x.shape[axis] - 1).to(x.device))
    return x if images.ndim == 4 else x[0]


def _by(method: str) -> Callable[..., Any]:
    def resize_by(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False,
                  name: Any = None) -> Any:  # fmt: skip
        if half_pixel_centers:
            return resize(images, size, method)
        return resize_images(images, size, method, align_corners)

    return resize_by


OLD = {
    "resize_area": _by("area"),
    "resize_bicubic": _by("bicubic"),
    "resize_bilinear": _by("bilinear"),
    "resize_images": resize_images,
    "resize_nearest_neighbor": _by("nearest"),
}

__all__ = [
    "ResizeMethod", "central_crop", "convert_image_dtype", "crop_and_resize", "crop_to_bounding_box",
    "draw_bounding_boxes", "extract_patches", "flip_left_right", "flip_up_down", "image_gradients",
    "pad_to_bounding_box", "per_image_standardization", "psnr", "resize",
    "resize_with_crop_or_pad", "resize_with_pad", "rot90", "sobel_edges", "ssim", "ssim_multiscale", "total_variation",
    "transpose",
]  # fmt: skip
