"""Images read at other coordinates: affine, perspective and elastic transforms, resampling."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, random
from convia.errors import explain
from convia.ops.door import public, publish, result_dtype, tensor
from convia.symbolic import tracing

_ORDERS = {"nearest": 0, "bilinear": 1}


def channel_axis_of(data_format: str | None, ndim: int) -> int:
    """Return the axis of channels, counted from the end, of one image with ``ndim`` axes."""
    return -1 if config.standardize_data_format(data_format) == "channels_last" else -ndim


def batch_of_images(
    who: str, images: Tensor, data_format: str | None, channels: str
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """View one image or a batch as a batch with channels "first" or "last", and return the way back.

    Raises:
        ValueError: neither three nor four dimensions.
    """
    if images.ndim not in (3, 4):
        received = f"images of shape {tuple(images.shape)}"
        raise ValueError(explain(who, received, "(height, width, channels), or a batch of such"))
    axis, wanted = channel_axis_of(data_format, 3), -3 if channels == "first" else -1
    batch = images if images.ndim == 4 else images[None]

    def back(result: Tensor) -> Tensor:
        result = result.movedim(wanted, axis)
        return result if images.ndim == 4 else result[0]

    return batch.movedim(axis, wanted), back


def gaussian(size: int, sigma: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a normal window of sum 1."""
    places = torch.arange(size, dtype=dtype, device=sigma.device) - (size - 1) / 2
    window = torch.exp(-0.5 * (places / sigma) ** 2)
    return window / window.sum()


def blur(x: Tensor, size: tuple[int, int], sigma: Tensor) -> Tensor:
    """Convolve each channel of (N, C, H, W) with a normal window, zeros around."""
    sigma, count = sigma.to(x.device), x.shape[1]
    rows, columns = gaussian(size[0], sigma[1], x.dtype), gaussian(size[1], sigma[0], x.dtype)
    kernel = torch.outer(rows, columns).expand(count, 1, *size)
    return F.conv2d(x, kernel, padding=(size[0] // 2, size[1] // 2), groups=count)


def _mirrored(index: Tensor, size: int) -> Tensor:
    last = size - 1
    return ((index + last) % (2 * last) - last).abs() if last else index * 0


def _reflected(index: Tensor, size: int) -> Tensor:
    return torch.div(_mirrored(2 * index + 1, 2 * size + 1) - 1, 2, rounding_mode="floor")


_EDGES: dict[str, Callable[[Tensor, int], Tensor]] = {  # where a coordinate outside reads, for dcba|abcd
    "constant": lambda index, size: index.clip(0, size - 1),
    "nearest": lambda index, size: index.clip(0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirrored,
    "reflect": _reflected,
}


@public(1)
def map_coordinates(inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0) -> Any:
    """Read a tensor at coordinates, one tensor of them per axis, by the nearest (0) or linearly between (1) elements.

    Args:
        fill_mode: outside read ``fill_value`` ("constant"), the edge ("nearest"), or the tensor repeated ("wrap") or
            turned around, with the edge ("reflect") or without it ("mirror").

    Raises:
        ValueError: not one tensor of coordinates per axis; another fill_mode. NotImplementedError: another order.
    """
    places = [tensor(coordinate) for coordinate in coordinates]
    if len(places) != inputs.ndim or places[0].ndim < 1:
        received = f"{len(places)} coordinates for {inputs.ndim} axes"
        raise ValueError(explain("map_coordinates", received, "one tensor of coordinates per axis, not of numbers"))
    if fill_mode not in _EDGES:
        raise ValueError(explain("argument 'fill_mode'", repr(fill_mode), f"one of {list(_EDGES)}"))
    if order not in (0, 1):
        raise NotImplementedError(explain("map_coordinates, argument 'order'", order, "0 (nearest) or 1 (linear)"))
    result: Any = 0
    for corner in itertools.product(*(_neighbours(place, order) for place in places)):
        sizes = [(index, size) for (index, _), size in zip(corner, inputs.shape, strict=True)]
        value = inputs[tuple(_EDGES[fill_mode](index, size) for index, size in sizes)]
        if fill_mode == "constant":
            inside = [(index >= 0) & (index < size) for index, size in sizes]
            value = torch.where(torch.stack(inside).all(0), value, tensor(fill_value, inputs.dtype))
        result = result + value * math.prod(weight for _, weight in corner)
    if not inputs.is_floating_point() and result.is_floating_point():
        result = torch.round(result)
    return result.to(inputs.dtype)


def _neighbours(place: Tensor, order: int) -> list[tuple[Tensor, Any]]:
    """Elements to read along one axis, and their weights."""
    if order == 0:
        return [((torch.round(place) if place.is_floating_point() else place).long(), 1)]
    lower = torch.floor(place) if place.is_floating_point() else place
    share = place - lower
    return [(lower.long(), 1 - share), (lower.long() + 1, share)]


def _check_warp(interpolation: str, fill_mode: str = "constant") -> None:
    if interpolation not in _ORDERS:
        raise ValueError(explain("argument 'interpolation'", repr(interpolation), f"one of {list(_ORDERS)}"))
    if fill_mode not in _EDGES:
        raise ValueError(explain("argument 'fill_mode'", repr(fill_mode), f"one of {list(_EDGES)}"))


def _read(x: Tensor, rows: Tensor, columns: Tensor, interpolation: str, fill_mode: str, fill_value: Any) -> Tensor:
    """Read all channels of (N, H, W, C) at coordinates (N, H, W)."""
    count, channels = x.shape[0], x.shape[-1]
    sample = torch.arange(count, device=x.device)[:, None, None, None].expand(*rows.shape, channels)
    channel = torch.arange(channels, device=x.device).expand(sample.shape)
    places = [(_neighbours(place[..., None].expand(sample.shape), _ORDERS[interpolation])) for place in (rows, columns)]
    result: Any = 0
    for (row, weight), (column, share) in itertools.product(*places):
        fix = _EDGES[fill_mode]
        value = x[sample, fix(row, x.shape[1]), fix(column, x.shape[2]), channel]
        if fill_mode == "constant":
            inside = (row >= 0) & (row < x.shape[1]) & (column >= 0) & (column < x.shape[2])
            value = torch.where(inside, value, tensor(fill_value, x.dtype))
        result = result + value * (weight * share)
    if not x.is_floating_point() and result.is_floating_point():
        result = torch.round(result)
    read: Tensor = result.to(x.dtype)
    return read


def _grid(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels of (N, H, W, C), each (1, H, W)."""
    rows, columns = (torch.arange(size, dtype=dtype, device=x.device) for size in x.shape[1:3])
    return rows[None, :, None].expand(1, *x.shape[1:3]), columns[None, None].expand(1, *x.shape[1:3])


def _numbers(values: Tensor, count: int) -> list[Tensor]:
    """The columns of (N, count) or (count,), each (N, 1, 1)."""
    return [column[:, None, None] for column in values.reshape(-1, values.shape[-1]).unbind(1)[:count]]


@public(2)
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Any:
    """Images whose pixel (x, y) is read at (a₀x + a₁y + a₂, b₀x + b₁y + b₂).

    Args:
        transform: (8,) or (N, 8), numbers a₀, a₁, a₂, b₀, b₁, b₂, 0, 0.

    Raises:
        ValueError: unknown interpolation or fill mode, wrong shapes.
    """
    _check_warp(interpolation, fill_mode)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        received = f"shape {tuple(transform.shape)}"
        raise ValueError(explain("affine_transform, argument 'transform'", received, "(8,) or (N, 8)"))
    x, back = batch_of_images("affine_transform", images, data_format, channels="last")
    transform = transform if transform.is_floating_point() else transform.float()
    a0, a1, a2, b0, b1, b2 = _numbers(transform.to(x.device), 6)
    rows, columns = _grid(x, transform.dtype)
    new_columns = (a0 * columns + a1 * rows + a2).expand(x.shape[:3])
    new_rows = (b0 * columns + b1 * rows + b2).expand(x.shape[:3])
    return back(_read(x, new_rows, new_columns, interpolation, fill_mode, fill_value))


@public(3)
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Any:
    """Images in which four points (x, y) have moved to four others, straight lines staying straight.

    Args:
        start_points, end_points: (4, 2), or (N, 4, 2) for each image its own.

    Raises:
        ValueError: an unknown interpolation, wrong shapes.
    """
    _check_warp(interpolation)
    if start_points.shape[-2:] != (4, 2) or start_points.ndim not in (2, 3) or start_points.shape != end_points.shape:
        received = f"start_points {tuple(start_points.shape)}, end_points {tuple(end_points.shape)}"
        raise ValueError(explain("perspective_transform", received, "both (4, 2) or both (N, 4, 2)"))
    x, back = batch_of_images("perspective_transform", images, data_format, channels="last")
    a0, a1, a2, b0, b1, b2, c0, c1 = _numbers(_homography(start_points, end_points).to(x.device), 8)
    rows, columns = _grid(x, a0.dtype)
    depth = c0 * columns + c1 * rows + 1
    new_columns = ((a0 * columns + a1 * rows + a2) / depth).expand(x.shape[:3])
    new_rows = ((b0 * columns + b1 * rows + b2) / depth).expand(x.shape[:3])
    return back(_read(x, new_rows, new_columns, interpolation, "constant", fill_value))


def _homography(start: Tensor, end: Tensor) -> Tensor:
    """The eight numbers that map ``end`` to ``start``: two linear equations per point."""
    start, end = (points.reshape(-1, 4, 2).float() for points in (start, end))
    ones, zeros = torch.ones_like(end[..., :1]), torch.zeros_like(end[..., :1])
    straight = torch.cat([end, ones], -1)  # (N, 4, 3)
    nothing = zeros.expand_as(straight)
    for_x = torch.cat([straight, nothing, -start[..., :1] * end], -1)
    for_y = torch.cat([nothing, straight, -start[..., 1:] * end], -1)
    coefficients: Tensor = torch.linalg.solve(
        torch.cat([for_x, for_y], 1), torch.cat([start[..., 0], start[..., 1]], 1)
    )
    return coefficients


@public(1)
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """Images whose pixels are moved at random, neighbours alike (Simard et al. 2003).

    Args:
        alpha: how far. sigma: how smooth, in pixels.

    Raises:
        ValueError: unknown interpolation or fill mode, not images.
    """
    _check_warp(interpolation, fill_mode)
    x, back = batch_of_images("elastic_transform", images, data_format, channels="last")
    size, kind = int(6 * float(sigma)) | 1, x.dtype if x.is_floating_point() else torch.float32
    shape = (2, *x.shape[:3])
    noise = x.new_empty(shape, dtype=kind) if tracing() else random.normal(shape, seed=seed, dtype=kind).to(x.device)
    width = torch.tensor([float(sigma)] * 2, device=x.device)
    shifts = float(alpha) * blur((noise * float(sigma)).flatten(0, 1)[:, None], (size, size), width).reshape(shape)
    rows, columns = _grid(x, kind)
    return back(_read(x, rows + shifts[1], columns + shifts[0], interpolation, fill_mode, fill_value))


def _triangle(x: Tensor) -> Tensor:
    return torch.clamp(1 - x, min=0)


def _keys(x: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation", a = −1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    return torch.where(x >= 2, 0, torch.where(x >= 1, ((-0.5 * x + 2.5) * x - 4) * x + 2, near))


def _lanczos(radius: int) -> Callable[[Tensor], Tensor]:
    """Duchon 1979: sinc(x)·sinc(x/radius) up to the radius."""
    return lambda x: torch.where(x > radius, 0, torch.sinc(x) * torch.sinc(x / radius))


_KERNELS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _keys),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def _weights(
    old: int, new: int, scale: Tensor, shift: Tensor, kernel: Callable[[Tensor], Tensor], antialias: bool
) -> Tensor:
    """How much each of the old elements counts in each of the new ones, (old, new)."""
    widening = torch.clamp(1 / scale, min=1) if antialias else 1
    centers = (torch.arange(new, dtype=scale.dtype, device=scale.device) + 0.5 - shift) / scale - 0.5
    places = torch.arange(old, dtype=scale.dtype, device=scale.device)
    weights = kernel((centers - places[:, None]).abs() / widening)
    total = weights.sum(0, keepdim=True)
    enough = total.abs() > 1000 * torch.finfo(torch.float32).eps
    weights = torch.where(enough, weights / torch.where(total != 0, total, 1), 0)
    return torch.where((centers >= -0.5) & (centers <= old - 0.5), weights, 0)


@public(1)
def scale_and_translate(
    images: Any,
    output_shape: Any,
    scale: Any,
    translation: Any,
    spatial_dims: Any,
    method: str,
    antialias: bool = True,
) -> Any:
    """A tensor of another shape, read at (position − translation)/scale along the spatial axes.

    Args:
        method: "linear", "cubic", "lanczos3", "lanczos5".

    Raises:
        ValueError: another method.
    """
    if method not in _KERNELS:
        raise ValueError(explain("scale_and_translate, argument 'method'", repr(method), f"one of {list(_KERNELS)}"))
    scale, translation = tensor(scale), tensor(translation)
    kind = result_dtype(scale.dtype, translation.dtype)
    result = images if images.is_floating_point() else images.float()
    for index, axis in enumerate(spatial_dims):
        weights = _weights(
            images.shape[axis],
            output_shape[axis],
            scale[index].to(kind),
            translation[index].to(kind),
            _KERNELS[method],
            antialias,
        )
        result = torch.tensordot(result, weights.to(result), ([axis], [0])).movedim(-1, axis)
    if images.is_floating_point():
        return result
    return torch.clip(torch.round(result), images.min(), images.max()).to(images.dtype)


publish(globals())
