"""Pooling: the maximum or the average of windows, of a grid of given size, or of the whole image."""

# It thinks that redeclared arguments keep their place, see convia/args.py:
# mypy: disable-error-code="misc"

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import layout, registry
from convia.args import Convert, PerAxis, whole_tuple
from convia.layers.arguments import DataFormat, Padding
from convia.layers.floating import _Floating
from convia.layers.spatial import _Spatial
from convia.symbolic import KerasTensor

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]

_MAX = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_ADAPTIVE_AVERAGE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def _strides(value: Any, owner: Any, name: str) -> tuple[int, ...]:
    return owner.pool_size if value is None else whole_tuple(value, owner.rank, owner, name)


class _Pooling(_Spatial):
    """Windows of ``pool_size``.

    "same" padding is left to torch, which ignores what it pads. Where TensorFlow pads one element more at the end than
    at the start, windows reach beyond the end (``ceil_mode``), or with stride 1 the first of one output too many is
    dropped.
    """

    _functions: ClassVar[Mapping[int, Callable[..., Any]]]
    _dilation: ClassVar[tuple[int, ...]] = ()  # argument of torch's before ceil_mode …
    _count_padding: ClassVar[tuple[bool, ...]] = ()  # … and after it
    _too_small_remedy = "Use a smaller pool_size, padding='same', or fewer poolings and strides before this layer."

    pool_size: PerAxis
    strides: Annotated[Any, Convert(_strides)] = None
    padding: Padding = "valid"
    data_format: DataFormat = None
    if not TYPE_CHECKING:  # by position, see Layer
        name: str | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Tabulate the padding of each axis by the remainder of its size divided by the stride."""
        super().__post_init__()
        same = self.padding == "same"
        windows = list(zip(self.pool_size, self.strides, strict=True))
        self._before = [
            [layout.same_padding(s + rest, k, s)[s == 1] for rest in range(s)] if same else [0] for k, s in windows
        ]
        known = all(len(set(table)) == 1 for table in self._before)
        self._padding = tuple(table[0] for table in self._before) if known else None
        drop_first = [same and s == 1 and k % 2 == 0 for k, s in windows]
        self._window: Any = (..., *(slice(int(drop), None) for drop in drop_first)) if any(drop_first) else None
        self._rest = (*self._dilation, same, *self._count_padding)
        self._smallest = (1,) * self.rank if same else self.pool_size
        self._pool = self._functions[self.rank]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return ⌊(n − k)/s⌋ + 1 or, for "same", ⌈n/s⌉ per axis; a trial would make torch import its compiler."""
        self._check_inputs((KerasTensor(input_shape, name="inputs"),))
        sizes, same = list(input_shape), self.padding == "same"
        windows = zip(self.pool_size, self.strides, strict=True)
        for axis, (k, s) in zip(layout.spatial_axes(self.rank, self.data_format), windows, strict=True):
            if sizes[axis] is not None:
                sizes[axis] = -(-sizes[axis] // s) if same else (sizes[axis] - k) // s + 1
        return tuple(sizes)

    def call(self, inputs: Tensor) -> Tensor:
        """Reduce each window to a number."""
        x, padding = inputs.permute(self._to_torch), self._padding
        if padding is None:
            padding = tuple(table[size % len(table)] for table, size in zip(self._before, x.shape[2:], strict=True))
        y: Tensor = self._pool(x, self.pool_size, self.strides, padding, *self._rest)
        if self._window is not None:
            y = y[self._window]
        return y.permute(self._from_torch)


class _MaxPooling(_Pooling):
    _functions = _MAX
    _dilation = (1,)


class _AveragePooling(_Floating, _Pooling):
    _functions = _AVERAGE
    _count_padding = (False,)


class MaxPooling1D(_MaxPooling):
    """Maximum of windows of a sequence. See :class:`MaxPooling2D`."""

    rank = 1
    pool_size: PerAxis = 2


class MaxPooling2D(_MaxPooling):
    """Maximum of windows: (batch, height, width, channels) → (batch, new height, new width, channels).

    Args:
        pool_size: height and width of the window, or one number for both.
        strides: steps of the window; None for pool_size.
        padding: "valid" (windows inside the image: ⌊(W − K) / S⌋ + 1 outputs) or "same" (⌈W / S⌉ outputs).
        data_format: "channels_last", "channels_first" (batch, channels, height, width), or None for the global one.

    Raises:
        ValueError: an image that is smaller than the window.
    """

    rank = 2
    pool_size: PerAxis = (2, 2)


class MaxPooling3D(_MaxPooling):
    """Maximum of windows of a volume. See :class:`MaxPooling2D`."""

    rank = 3
    pool_size: PerAxis = (2, 2, 2)


class AveragePooling1D(_AveragePooling):
    """Average of windows of a sequence. See :class:`AveragePooling2D`."""

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Average of windows; with "same" padding of the part inside the image. Arguments as for :class:`MaxPooling2D`."""

    rank = 2


class AveragePooling3D(_AveragePooling):
    """Average of windows of a volume. See :class:`AveragePooling2D`."""

    rank = 3


class _GlobalPooling(_Spatial):
    data_format: DataFormat = None
    keepdims: bool = False

    def __post_init__(self) -> None:
        """Name torch's spatial axes."""
        super().__post_init__()
        self._axes = tuple(range(2, self.rank + 2))
        self._smallest = (1,) * self.rank

    def compute_output_shape(self, input_shape: Any, *_: Any) -> tuple[int | None, ...]:
        """Return (batch, channels), or with ``keepdims`` sizes of 1; a trial would make torch import its compiler."""
        self._check_inputs((KerasTensor(input_shape, name="inputs"),))
        gone = layout.spatial_axes(self.rank, self.data_format)
        sizes = (
            1 if axis in gone else size for axis, size in enumerate(input_shape) if self.keepdims or axis not in gone
        )
        return tuple(sizes)


class _GlobalAveragePooling(_Floating, _GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        """Average each channel."""
        y = inputs.permute(self._to_torch).mean(self._axes, self.keepdims)
        return y.permute(self._from_torch) if self.keepdims else y


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        """Take the maximum of each channel."""
        y = inputs.permute(self._to_torch).amax(self._axes, self.keepdims)
        return y.permute(self._from_torch) if self.keepdims else y


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """Average over the steps of a sequence. See :class:`GlobalAveragePooling2D`."""

    rank = 1
    supports_masking = True  # uses them; its output has no steps and no mask

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: no steps are left."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Average over the steps where the mask (batch, steps) is not 0, over all without a mask."""
        if mask is None:
            return super().call(inputs)
        kept = mask.bool().unsqueeze(self._channel_axis)
        axis = layout.spatial_axes(1, self.data_format)
        return (inputs * kept).sum(axis, self.keepdims) / kept.sum(axis, self.keepdims)


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Average of each channel over the image: (batch, height, width, channels) → (batch, channels).

    Args:
        data_format: "channels_last", "channels_first", or None for the global one.
        keepdims: whether the spatial axes stay, with size 1.
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """Average of each channel over the volume. See :class:`GlobalAveragePooling2D`."""

    rank = 3


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """Maximum over the steps of a sequence. See :class:`GlobalMaxPooling2D`."""

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Maximum of each channel over the image. Arguments as for :class:`GlobalAveragePooling2D`."""

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """Maximum of each channel over the volume. See :class:`GlobalMaxPooling2D`."""

    rank = 3


class _AdaptivePooling(_Spatial):
    _functions: ClassVar[Mapping[int, Callable[..., Any]]]

    output_size: PerAxis
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        """Choose torch's function."""
        super().__post_init__()
        self._smallest = (1,) * self.rank
        self._pool = self._functions[self.rank]

    def call(self, inputs: Tensor) -> Tensor:
        """Reduce each cell of the grid to a number."""
        y: Tensor = self._pool(inputs.permute(self._to_torch), self.output_size).permute(self._from_torch)
        return y


class _AdaptiveMaxPooling(_AdaptivePooling):
    _functions = _ADAPTIVE_MAX


class _AdaptiveAveragePooling(_Floating, _AdaptivePooling):
    _functions = _ADAPTIVE_AVERAGE


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """Maximum of each cell of a grid of given size. See :class:`AdaptiveMaxPooling2D`."""

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Maximum of each cell of a grid over the image: (batch, any, any, channels) → (batch, *output_size, channels).

    Cell i of n reaches from ⌊i·W/n⌋ to ⌈(i + 1)·W/n⌉, so that neighbours may overlap by one element.

    Args:
        output_size: rows and columns of the grid, or one number for both.
        data_format: "channels_last", "channels_first", or None for the global one.
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Maximum of each cell of a grid of given size. See :class:`AdaptiveMaxPooling2D`."""

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """Average of each cell of a grid of given size. See :class:`AdaptiveMaxPooling2D`."""

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Average of each cell of a grid of given size. See :class:`AdaptiveMaxPooling2D`."""

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Average of each cell of a grid of given size. See :class:`AdaptiveMaxPooling2D`."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)

for _alias in __all__:
    if "Pooling" not in _alias:
        registry.register("keras.layers", globals()[_alias], _alias)
