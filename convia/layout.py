"""Axis orders: the only file that knows where channels are.

At the surface images are channels_last (N, H, W, C) unless asked otherwise, and kernels have Keras's shapes
(kernel…, in, out). Inside, torch wants (N, C, H, W) and (out, in, kernel…). Both are views of one another: an
image is permuted (channels_last memory is what torch's fast convolutions like), and a kernel's memory is in torch's
order behind a shape in Keras's. Nothing is copied and nothing converted on saving.
"""

import torch

Perm = tuple[int, ...]


def invert(perm: Perm) -> Perm:
    """Return the permutation that undoes ``perm``."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def to_channels_first(rank: int, data_format: str) -> Perm | None:
    """Return the permutation of a batch of rank-d images to (N, C, spatial…), None where it already is so."""
    return (0, rank + 1, *range(1, rank + 1)) if data_format == "channels_last" else None


def from_channels_first(rank: int, data_format: str) -> Perm | None:
    """Return the permutation from (N, C, spatial…) back to the surface's order, None where there is none."""
    return (0, *range(2, rank + 2), 1) if data_format == "channels_last" else None


def channel_axis(data_format: str) -> int:
    """Return the axis of channels: the last one, or 1."""
    return -1 if data_format == "channels_last" else 1


def spatial_axes(rank: int, data_format: str) -> tuple[int, ...]:
    """Return the axes of height, width, … in a batch of rank-d images."""
    first = 1 if data_format == "channels_last" else 2
    return tuple(range(first, first + rank))


def kernel_to_torch(rank: int) -> Perm:
    """Return the permutation of a kernel (kernel…, a, b) to torch's (b, a, kernel…)."""
    return (rank + 1, rank, *range(rank))


def depthwise_to_torch(rank: int) -> Perm:
    """Return the permutation of a depthwise kernel (kernel…, in, multiplier) to (in, multiplier, kernel…)."""
    return (rank, rank + 1, *range(rank))


def empty_in_order(
    shape: tuple[int, ...], order: Perm | None, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Allocate a tensor of ``shape`` whose memory runs through the axes in the given order."""
    if order is None:
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.empty([shape[axis] for axis in order], dtype=dtype, device=device).permute(invert(order))


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return TensorFlow's "same" padding of one axis, (before, after); the odd element goes after.

    With it the output has ⌈size / stride⌉ elements.
    """
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1, dilation: int = 1) -> int:
    """Return W' = ⌊(W − ((K − 1)·D + 1) + 2P) / S⌋ + 1, the length of a convolution's output."""
    return (size - (kernel - 1) * dilation - 1 + 2 * padding) // stride + 1


def transposed_crops(kernel: int, stride: int, output_padding: int | None, same: bool) -> tuple[int, int]:
    """Return how many of the (W − 1)·S + K elements that one axis spreads to are dropped at the start and at the end.

    A negative number is one of elements to add. The sizes left are Keras's: without ``output_padding`` W·S for "same"
    and (W − 1)·S + max(K, S) for "valid"; with it (W − 1)·S + (K mod 2 or K) + output_padding. ``kernel`` counts the
    dilation's gaps.
    """
    if not same:
        return 0, min(kernel - stride, 0) if output_padding is None else -output_padding
    extra = stride - kernel % 2 if output_padding is None else output_padding
    total = kernel - kernel % 2 - extra  # K − K mod 2 − extra elements fewer in all
    start = max(total // 2, 0)
    return start, total - start
