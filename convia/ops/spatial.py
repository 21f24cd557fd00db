"""Convolution and pooling of batches of d-dimensional images, (N, spatial…, C) or (N, C, spatial…)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, layout
from convia.errors import explain
from convia.ops.door import public, publish

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_SPREAD = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_ADAPTIVE_AVERAGE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def each_axis(who: str, name: str, value: Any, rank: int) -> tuple[Any, ...]:
    """Return one value per spatial axis."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    if len(values) != rank:
        raise ValueError(explain(f"{who}, argument {name!r}", repr(value), f"one whole number or {rank} of them"))
    return values


def _rank(who: str, x: Tensor) -> int:
    if x.ndim not in (3, 4, 5):
        expected = "(N, spatial…, C) or (N, C, spatial…) with 1, 2 or 3 spatial axes"
        raise ValueError(explain(who, f"inputs of shape {tuple(x.shape)}", expected))
    return x.ndim - 2


def _is_same(who: str, padding: str) -> bool:
    if padding.lower() not in ("valid", "same"):
        raise ValueError(explain(f"{who}, argument 'padding'", repr(padding), "'valid' or 'same'"))
    return padding.lower() == "same"


def _in_torch_order(x: Tensor, data_format: str | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """View a batch as (N, C, spatial…), and return how to view the result in the given order."""
    order = config.standardize_data_format(data_format)
    there, back = (turn(x.ndim - 2, order) for turn in (layout.to_channels_first, layout.from_channels_first))
    return (x.permute(there) if there else x), lambda y: y.permute(back) if back else y


def _same(x: Tensor, sizes: Any, strides: Any, dilations: Any) -> list[tuple[int, int]]:
    return [layout.same_padding(*axis) for axis in zip(x.shape[2:], sizes, strides, dilations, strict=True)]


def _padded(x: Tensor, widths: list[tuple[int, int]], value: float = 0) -> Tensor:
    return F.pad(x, [size for pair in reversed(widths) for size in pair], value=value) if any(map(any, widths)) else x


@public(2)
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve with a kernel (kernel…, channels per group, filters); fewer channels than the inputs' mean groups.

    Raises:
        ValueError: the inputs' channels are not a multiple of the kernel's.
    """
    rank = _rank("conv", inputs)
    strides = each_axis("conv", "strides", strides, rank)
    dilations = each_axis("conv", "dilation_rate", dilation_rate, rank)
    x, back = _in_torch_order(inputs, data_format)
    if kernel.ndim != rank + 2 or x.shape[1] % kernel.shape[-2]:
        received = f"inputs of shape {tuple(inputs.shape)}, a kernel of shape {tuple(kernel.shape)}"
        raise ValueError(explain("conv", received, "a kernel (kernel…, in, out) whose 'in' divides the channels"))
    groups = x.shape[1] // kernel.shape[-2]
    widths = _same(x, kernel.shape[:rank], strides, dilations) if _is_same("conv", padding) else [(0, 0)] * rank
    inside = tuple(before for before, _ in widths)
    if any(before != after for before, after in widths):
        x, inside = _padded(x, widths), (0,) * rank
    weight = kernel.permute(layout.kernel_to_torch(rank))
    return back(_CONV[rank](x, weight, None, strides, inside, dilations, groups))


@public(2)
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve each channel by itself with a kernel (kernel…, channels, multiplier).

    Raises:
        ValueError: the kernel is of another number of channels.
    """
    _check_channels("depthwise_conv", inputs, kernel, data_format)
    flat = kernel.reshape(*kernel.shape[:-2], 1, -1)
    return conv(inputs, flat, strides, padding, data_format, dilation_rate)


def _check_channels(who: str, inputs: Tensor, kernel: Tensor, data_format: str | None, axis: int = -2) -> None:
    channels = inputs.shape[layout.channel_axis(config.standardize_data_format(data_format))]
    if channels != kernel.shape[axis]:
        received = f"inputs of {channels} channels, a kernel of shape {tuple(kernel.shape)}"
        raise ValueError(explain(who, received, f"{channels} on axis {axis} of the kernel"))


@public(3)
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve each channel by itself, then mix the channels with a kernel (1…, channels·multiplier, filters)."""
    mixed = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(mixed, pointwise_kernel, data_format=data_format)


@public(2)
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Spread each pixel over a window with a kernel (kernel…, filters, channels), the gradient of a convolution.

    Without ``output_padding`` an axis gets W·S elements for "same" and (W − 1)·S + max(K, S) for "valid".
    """
    rank = _rank("conv_transpose", inputs)
    _check_channels("conv_transpose", inputs, kernel, data_format, axis=-1)
    strides = each_axis("conv_transpose", "strides", strides, rank)
    dilations = each_axis("conv_transpose", "dilation_rate", dilation_rate, rank)
    extra = each_axis("conv_transpose", "output_padding", output_padding, rank)
    same = _is_same("conv_transpose", padding)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:rank], dilations, strict=True)]
    cut = [layout.transposed_crops(*axis, same) for axis in zip(spans, strides, extra, strict=True)]
    x, back = _in_torch_order(inputs, data_format)
    y = _SPREAD[rank](x, kernel.permute(layout.kernel_to_torch(rank)), None, strides, 0, 0, 1, dilations)
    return back(_padded(y, [(-before, -after) for before, after in cut]))


def _pool(
    who: str, inputs: Tensor, pool_size: Any, strides: Any, padding: str, data_format: str | None
) -> tuple[Tensor, Callable[[Tensor], Tensor], int, tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    rank = _rank(who, inputs)
    sizes = each_axis(who, "pool_size", pool_size, rank)
    steps = sizes if strides is None else each_axis(who, "strides", strides, rank)
    x, back = _in_torch_order(inputs, data_format)
    same = _is_same(who, padding)
    widths = _same(x, sizes, steps, (1,) * rank) if same else [(0, 0)] * rank
    return x, back, rank, sizes, steps, widths


@public(1)
def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """The greatest element of each window."""
    x, back, rank, sizes, steps, widths = _pool("max_pool", inputs, pool_size, strides, padding, data_format)
    lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    return back(_MAX[rank](_padded(x, widths, lowest), sizes, steps))


@public(1)
def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """The mean of each window; with "same" padding of what lies inside the image, as TensorFlow has it."""
    x, back, rank, sizes, steps, widths = _pool("average_pool", inputs, pool_size, strides, padding, data_format)
    y = _AVERAGE[rank](_padded(x, widths), sizes, steps)
    if any(map(any, widths)):
        y = y / _AVERAGE[rank](_padded(torch.ones_like(x[:1, :1]), widths), sizes, steps)
    return back(y)


def _grid(functions: dict[int, Callable[..., Any]], doc: str) -> Any:
    def _row(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
        rank = _rank(_row.__name__, inputs)
        x, back = _in_torch_order(inputs, data_format)
        return back(functions[rank](x, each_axis(_row.__name__, "output_size", output_size, rank)))

    _row.__doc__ = doc
    return public(1)(_row)


adaptive_average_pool = _grid(_ADAPTIVE_AVERAGE, "The mean of each cell of a grid of given size.")
adaptive_max_pool = _grid(_ADAPTIVE_MAX, "The greatest element of each cell of a grid of given size.")


@public(1)
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows of images (N, C, H, W) as columns, (N, C·kernel, windows).

    Raises:
        ValueError: not four dimensions.
    """
    if x.ndim != 4:
        raise ValueError(explain("unfold", f"shape {tuple(x.shape)}", "(N, C, H, W)"))
    return F.unfold(x, kernel_size, dilation, padding, stride)


@public(1)
def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns (N, C·kernel, windows) added up to images (N, C, *output_size).

    Raises:
        ValueError: not three dimensions.
    """
    if x.ndim != 3:
        raise ValueError(explain("fold", f"shape {tuple(x.shape)}", "(N, C·kernel, windows)"))
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)


def _check_block(who: str, block_size: Any) -> None:
    if block_size < 2:
        raise ValueError(explain(f"{who}, argument 'block_size'", repr(block_size), "a whole number ≥ 2"))


@public(1)
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Channels into blocks of pixels: (N, H, W, C·b²) → (N, H·b, W·b, C)."""
    _check_block("depth_to_space", block_size)
    first = config.standardize_data_format(data_format) == "channels_first"
    n, h, w, c = x.movedim(1, -1).shape if first else x.shape
    b, c = block_size, c // block_size**2
    if first:
        return x.reshape(n, c, b, b, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c, h * b, w * b)
    return x.reshape(n, h, w, b, b, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, c)


@public(1)
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of pixels into channels: (N, H·b, W·b, C) → (N, H, W, C·b²)."""
    _check_block("space_to_depth", block_size)
    first = config.standardize_data_format(data_format) == "channels_first"
    n, h, w, c = x.movedim(1, -1).shape if first else x.shape
    b, h, w = block_size, h // block_size, w // block_size
    if first:
        return x.reshape(n, c, h, b, w, b).permute(0, 1, 3, 5, 2, 4).reshape(n, c * b**2, h, w)
    return x.reshape(n, h, b, w, b, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c * b**2)


publish(globals())
