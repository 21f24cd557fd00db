"""Layers that change shapes: flatten, reshape, permute, repeat, pad, crop, enlarge."""

import math
from typing import Annotated, Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import layout
from convia.args import Convert, PerAxis, PositiveInt, one_of
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.arguments import DataFormat, Sides
from convia.layers.one_tensor import _OneTensor
from convia.layers.spatial import _Spatial
from convia.symbolic import KerasTensor

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Flatten",
    "Permute",
    "RepeatVector",
    "Reshape",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]


class Flatten(_OneTensor, Layer):
    """Make one axis of all but the batch: (batch, height, width, channels) → (batch, height · width · channels).

    Args:
        data_format: for "channels_first" the channels are moved last before, so that both formats give the same order.
    """

    data_format: DataFormat = None

    def __post_init__(self) -> None:
        """Note whether channels are to be moved."""
        self.input_spec = InputSpec(min_ndim=1)
        self._move = self.data_format == "channels_first"

    def call(self, inputs: Tensor) -> Tensor:
        """Flatten; single numbers become rows of one."""
        x = inputs.movedim(1, -1) if self._move and inputs.ndim > 2 else inputs
        return x.flatten(1) if x.ndim > 1 else x.unsqueeze(1)


def _target_shape(value: Any, owner: Any, name: str) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not all(isinstance(size, int) and size >= -1 for size in sizes) or sizes.count(-1) > 1:
        raise ValueError(
            explain(
                f"Reshape, argument {name!r}", repr(value), "whole numbers without the batch, at most one of them −1"
            )
        )
    return sizes


class Reshape(_OneTensor, Layer):
    """Give each element of the batch another shape with as many numbers.

    Args:
        target_shape: without the batch; one size may be −1, which is computed.

    Raises:
        ValueError: not as many numbers.
    """

    target_shape: Annotated[Any, Convert(_target_shape)]

    def call(self, inputs: Tensor) -> Tensor:
        """Reshape."""
        return inputs.reshape(inputs.shape[0], *self.target_shape)

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        """Return the target shape, with −1 computed, or None where the input's sizes are unknown."""
        sizes = inputs.shape[1:]
        count = None if None in sizes else math.prod(sizes)  # type: ignore[arg-type]
        known = math.prod(size for size in self.target_shape if size != -1)
        free = -1 in self.target_shape
        if count is not None and (count % max(known, 1) if free else count != known):
            raise ValueError(
                explain(
                    f"Reshape layer {self.name!r}",
                    f"an input of shape {inputs.shape} for {self.target_shape}",
                    f"as many numbers on both sides, not {count}",
                )
            )
        rest = None if count is None else count // max(known, 1)
        return KerasTensor(
            (inputs.shape[0], *(rest if size == -1 else size for size in self.target_shape)), inputs.dtype
        )


def _dims(value: Any, owner: Any, name: str) -> tuple[int, ...]:
    if sorted(value) != list(range(1, len(value) + 1)):
        raise ValueError(
            explain(f"Permute, argument {name!r}", repr(value), "each axis from 1 on once, the batch left out")
        )
    return tuple(value)


class Permute(_OneTensor, Layer):
    """Reorder the axes after the batch: ``Permute((2, 1))`` swaps the first two.

    Args:
        dims: the axes, counted from 1, in their new order.
    """

    dims: Annotated[Any, Convert(_dims)]

    def __post_init__(self) -> None:
        """Include the batch."""
        self._order = (0, *self.dims)
        self.input_spec = InputSpec(ndim=len(self._order))

    def call(self, inputs: Tensor) -> Tensor:
        """Permute, a view."""
        return inputs.permute(self._order)


class RepeatVector(_OneTensor, Layer):
    """Repeat each vector: (batch, features) → (batch, n, features)."""

    n: PositiveInt

    def __post_init__(self) -> None:
        """Accept vectors only."""
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        """Repeat."""
        return inputs.unsqueeze(1).repeat(1, self.n, 1)


class _ZeroPadding(_Spatial):
    padding: Sides
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        """List the padding as torch wants it, from the last axis to the first."""
        super().__post_init__()
        pairs = [self.padding] if self.rank == 1 else list(self.padding)
        if self._channel_axis == -1:
            pairs.append((0, 0))
        self._pads = [side for pair in reversed(pairs) for side in pair]

    def call(self, inputs: Tensor) -> Tensor:
        """Add zeros."""
        return F.pad(inputs, self._pads)


class ZeroPadding1D(_ZeroPadding):
    """Add zeros before and after the steps of a sequence; ``padding`` is a number or (before, after)."""

    rank = 1
    padding: Sides = 1


class ZeroPadding2D(_ZeroPadding):
    """Add rows and columns of zeros around images.

    Args:
        padding: a number for all sides, (rows, columns), or ((top, bottom), (left, right)).
        data_format: "channels_last", "channels_first", or None for the global one.
    """

    rank = 2
    padding: Sides = (1, 1)


class ZeroPadding3D(_ZeroPadding):
    """Add zeros around volumes. See :class:`ZeroPadding2D`."""

    rank = 3
    padding: Sides = ((1, 1), (1, 1), (1, 1))


class _Cropping(_Spatial):
    _too_small_remedy = "Crop less, or give larger inputs."

    cropping: Sides

    def __post_init__(self) -> None:
        """Make slices of the numbers."""
        super().__post_init__()
        pairs = [self.cropping] if self.rank == 1 else list(self.cropping)
        self._smallest = tuple(before + after + 1 for before, after in pairs)
        window = [slice(before, -after or None) for before, after in pairs]
        self._window: Any = (..., *window, slice(None)) if self._channel_axis == -1 else (..., *window)

    def call(self, inputs: Tensor) -> Tensor:
        """Cut the sides off, a view."""
        y = inputs[self._window]
        if not y.numel():
            self._check_inputs((inputs,))
        return y


class Cropping1D(_Cropping):
    """Cut steps off a sequence at its start and end; ``cropping`` is a number or (before, after)."""

    rank = 1
    data_format = "channels_last"
    cropping: Sides = (1, 1)


class _ImageCropping(_Cropping):
    data_format: DataFormat = None


class Cropping2D(_ImageCropping):
    """Cut rows and columns off images.

    Args:
        cropping: a number for all sides, (rows, columns), or ((top, bottom), (left, right)).
        data_format: "channels_last", "channels_first", or None for the global one.

    Raises:
        ValueError: nothing would be left.
    """

    rank = 2
    cropping: Sides = ((0, 0), (0, 0))


class Cropping3D(_ImageCropping):
    """Cut the sides off volumes. See :class:`Cropping2D`."""

    rank = 3
    cropping: Sides = ((1, 1), (1, 1), (1, 1))


class _UpSampling(_Spatial):
    """Repeat elements: each spatial axis gets a neighbour, along which it is expanded, and both become one."""

    size: PerAxis

    def __post_init__(self) -> None:
        """Note which axis to repeat how often."""
        super().__post_init__()
        factors = (self.size,) if isinstance(self.size, int) else self.size
        axes = layout.spatial_axes(self.rank, self.data_format)
        self._factors = [1] * (self.rank + 2)
        for axis, factor in zip(axes, factors, strict=True):
            self._factors[axis] = factor
        self._neighbours = [axis + 1 + number for number, axis in enumerate(axes)]

    def call(self, inputs: Tensor) -> Tensor:
        """Repeat rows, columns, …"""
        shape = inputs.shape
        for axis in self._neighbours:
            inputs = inputs.unsqueeze(axis)
        sizes = [-1] * inputs.ndim
        for number, axis in enumerate(self._neighbours):
            sizes[axis] = self._factors[axis - 1 - number]
        return inputs.expand(sizes).reshape([size * factor for size, factor in zip(shape, self._factors, strict=True)])


class UpSampling1D(_UpSampling):
    """Repeat each step of a sequence ``size`` times."""

    rank = 1
    data_format = "channels_last"
    size: PositiveInt = 2


class UpSampling2D(_UpSampling):
    """Enlarge images by whole factors.

    Args:
        size: factors of height and width, or one for both.
        data_format: "channels_last", "channels_first", or None for the global one.
        interpolation: "nearest" repeats pixels; "bilinear" and "bicubic" interpolate between the pixels' centers.
    """

    rank = 2
    size: PerAxis = (2, 2)
    data_format: DataFormat = None
    interpolation: Annotated[str, one_of("nearest", "bilinear", "bicubic")] = "nearest"

    def call(self, inputs: Tensor) -> Tensor:
        """Repeat or interpolate."""
        if self.interpolation == "nearest":
            return super().call(inputs)
        x = inputs.permute(self._to_torch)
        sizes = [size * factor for size, factor in zip(x.shape[2:], self.size, strict=True)]
        return F.interpolate(x, sizes, mode=self.interpolation, align_corners=False).permute(self._from_torch)


class UpSampling3D(_UpSampling):
    """Repeat each voxel. Arguments as for :class:`UpSampling2D`, without interpolation."""

    rank = 3
    size: PerAxis = (2, 2, 2)
    data_format: DataFormat = None
