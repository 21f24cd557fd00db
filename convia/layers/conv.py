"""Convolutions: full, depthwise, and the two in a row that are called separable."""

# It thinks that redeclared arguments keep their place, see convia/args.py:
# mypy: disable-error-code="misc"

from typing import Annotated, Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import activations, layout, registry
from convia.args import PerAxis, PositiveInt, field, one_of
from convia.errors import explain
from convia.layers.arguments import Activation, Constraint, DataFormat, Initializer, Padding, Regularizer
from convia.layers.floating import _Floating
from convia.layers.lora import Rank, _Adaptable
from convia.layers.spatial import _Spatial
from convia.symbolic import KerasTensor

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
]

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_LARGEST_STRIDE = 1 << 16  # a damaged file may ask for any, and one entry of a table for each remainder


class _Convolving(_Floating, _Spatial):
    """Windows of ``kernel_size`` that slide over the padded input."""

    _too_small_remedy = "Use a smaller kernel_size, padding='same', or fewer poolings and strides before this layer."

    def __post_init__(self) -> None:
        """Tabulate the padding, (before, after) for each axis by the remainder of its size divided by the stride."""
        super().__post_init__()
        if max(self.strides) > _LARGEST_STRIDE:
            who = f"{type(self).__name__} {self.name!r}, argument 'strides'"
            raise ValueError(explain(who, repr(self.strides), f"at most {_LARGEST_STRIDE}", "No image is so large."))
        windows = list(zip(self.kernel_size, self.strides, self.dilation_rate, strict=True))
        reach = [(k - 1) * d for k, _, d in windows]  # from the first element of a window to the last
        self._sides: list[list[tuple[int, int]]] = {
            "valid": [[(0, 0)] for _ in windows],
            "causal": [[(r, 0)] for r in reach],
            "same": [[layout.same_padding(s + rest, k, s, d) for rest in range(s)] for k, s, d in windows],
        }[self.padding]
        known = all(len(set(table)) == 1 and table[0][0] == table[0][1] for table in self._sides)
        self._padding = tuple(table[0][0] for table in self._sides) if known else None  # None: see _pad
        self._smallest = tuple(r + 1 for r in reach) if self.padding == "valid" else (1,) * self.rank
        self._convolve = _CONVOLVE[self.rank]
        self._order = layout.kernel_to_torch(self.rank)

    @property
    def _rectifies(self) -> bool:
        return self.activation is activations.relu

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return ⌊(n + padding − d·(k − 1) − 1)/s⌋ + 1 per axis; a trial would make torch import its compiler."""
        self._check_inputs((KerasTensor(input_shape, name="inputs"),))
        sizes = list(input_shape)
        windows = zip(self.kernel_size, self.strides, self.dilation_rate, self._sides, strict=True)
        for axis, (k, s, d, table) in zip(layout.spatial_axes(self.rank, self.data_format), windows, strict=True):
            if sizes[axis] is not None:
                sizes[axis] = (sizes[axis] + sum(table[sizes[axis] % len(table)]) - d * (k - 1) - 1) // s + 1
        sizes[self._channel_axis] = self._maps(sizes[self._channel_axis])
        return self._activated_shape(tuple(sizes))

    def _maps(self, channels: int) -> int:
        """Return the number of feature maps of an input's channels."""
        return int(self.filters)

    def _pad(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Pad as the size requires; return what is left for torch to pad on both sides."""
        sides = [table[size % len(table)] for table, size in zip(self._sides, x.shape[2:], strict=True)]
        if all(before == after for before, after in sides):
            return x, tuple(before for before, _ in sides)
        return F.pad(x, [side for pair in reversed(sides) for side in pair]), (0,) * self.rank

    def _refuse_dilated_strides(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                explain(
                    type(self).__name__,
                    f"strides={self.strides} with dilation_rate={self.dilation_rate}",
                    "only one of the two greater than 1",
                )
            )


class _Conv(_Adaptable, _Convolving):
    filters: PositiveInt
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    groups: PositiveInt = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    lora_rank: Rank = field(default=None, kw_only=True)
    lora_alpha: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check that filters come in whole groups."""
        self._refuse_dilated_strides()
        self._check_groups("filters", self.filters)
        super().__post_init__()

    def _check_groups(self, what: str, number: int) -> None:
        if number % self.groups:
            raise ValueError(
                explain(
                    type(self).__name__,
                    f"{what}={number} with groups={self.groups}",
                    f"a number of {what} that is a multiple of groups",
                )
            )

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (kernel_size…, channels / groups, filters) and ``bias`` (filters,)."""
        super().build(input_shape)
        channels = self._fix_channels(input_shape)
        self._check_groups("input channels", channels)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            order=self._order,
        )
        self.bias = _add_bias(self, self.filters)
        self._adapt(self.lora_rank, self.lora_alpha)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve: y = φ(w ∗ x + b)."""
        x, padding = inputs.permute(self._to_torch), self._padding
        if padding is None:
            x, padding = self._pad(x)
        kernel = self.kernel.permute(self._order)
        y = self._convolve(x, kernel, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        if self._rectifies:  # in place: nothing else needs what came before, and a large map is written once less
            return y.relu_().permute(self._from_torch)
        y = y.permute(self._from_torch)
        return self.activation(y) if self._active else y


def _add_bias(layer: Any, size: int) -> Any:
    """Create ``bias`` of a layer, None if it has none."""
    if not layer.use_bias:
        return None
    return layer.add_weight(
        name="bias",
        shape=(size,),
        initializer=layer.bias_initializer,
        regularizer=layer.bias_regularizer,
        constraint=layer.bias_constraint,
    )


class Conv1D(_Conv):
    """Convolution of sequences: (batch, steps, channels) → (batch, new steps, filters).

    As :class:`Conv2D`, with one number for kernel_size, strides and dilation_rate; ``padding="causal"`` pads before
    only, so that no output sees a later input.
    """

    rank = 1
    padding: Annotated[str, one_of("valid", "same", "causal")] = "valid"


class Conv2D(_Conv):
    """Convolution of images: (batch, height, width, channels) → (batch, new height, new width, filters).

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, or one number for both.
        strides: steps of the window.
        padding: "valid" (none: ⌊(W − (K − 1)·D − 1) / S⌋ + 1 outputs) or "same" (zeros around: ⌈W / S⌉ outputs).
        data_format: "channels_last", "channels_first" (batch, channels, height, width), or None for the global one.
        dilation_rate: distance of neighbours in the window; greater than 1 only with strides 1.
        groups: input and output channels are split into so many groups, each convolved by itself.
        activation: φ, applied to the output; None for none.
        use_bias: whether to add a learned number per filter.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties on weights and output.
        kernel_constraint, bias_constraint: functions applied to the weights after each step of training.
        lora_rank, lora_alpha: (keywords) see :meth:`enable_lora`, which they call when the layer is built.

    Raises:
        ValueError: channels that are no multiple of groups, strides with dilation, an input smaller than the window.
    """

    rank = 2
    strides: PerAxis = (1, 1)
    dilation_rate: PerAxis = (1, 1)


class Conv3D(_Conv):
    """Convolution of volumes: (batch, depth, height, width, channels) → (batch, …, filters). See :class:`Conv2D`."""

    rank = 3
    strides: PerAxis = (1, 1, 1)
    dilation_rate: PerAxis = (1, 1, 1)


class _DepthwiseConv(_Convolving):
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    depth_multiplier: PositiveInt = 1
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (kernel_size…, channels, multiplier) and ``bias`` (channels · multiplier,)."""
        super().build(input_shape)
        self._groups = self._fix_channels(input_shape)
        self._depthwise_order = layout.depthwise_to_torch(self.rank)
        self.kernel = _add_depthwise_kernel(self, "kernel")
        self.bias = _add_bias(self, self._groups * self.depth_multiplier)

    def _maps(self, channels: int) -> int:
        return channels * int(self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel by itself."""
        x, padding = inputs.permute(self._to_torch), self._padding
        if padding is None:
            x, padding = self._pad(x)
        kernel = self.kernel.permute(self._depthwise_order).flatten(0, 1).unsqueeze(1)  # (C·M, 1, K…)
        y = self._convolve(x, kernel, self.bias, self.strides, padding, self.dilation_rate, self._groups)
        y = y.permute(self._from_torch)
        return self.activation(y) if self._active else y


def _add_depthwise_kernel(layer: Any, name: str) -> Any:
    return layer.add_weight(
        name=name,
        shape=(*layer.kernel_size, layer._groups, layer.depth_multiplier),
        initializer=layer.depthwise_initializer,
        regularizer=layer.depthwise_regularizer,
        constraint=layer.depthwise_constraint,
        order=layer._depthwise_order,
    )


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of a sequence with filters of its own. See :class:`DepthwiseConv2D`."""

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel with filters of its own: (batch, …, channels) → (batch, …, channels · multiplier).

    Args:
        depth_multiplier: filters per channel.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.
        kernel_size and the others: as for :class:`Conv2D`.
    """

    rank = 2
    strides: PerAxis = (1, 1)
    dilation_rate: PerAxis = (1, 1)


class _SeparableConv(_Convolving):
    filters: PositiveInt
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    depth_multiplier: PositiveInt = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    pointwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    pointwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    pointwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        """Create ``depthwise_kernel`` (K…, channels, multiplier), ``pointwise_kernel`` (1…, C·M, filters), ``bias``."""
        super().build(input_shape)
        self._groups = self._fix_channels(input_shape)
        self._depthwise_order = layout.depthwise_to_torch(self.rank)
        self.depthwise_kernel = _add_depthwise_kernel(self, "depthwise_kernel")
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(*(1,) * self.rank, self._groups * self.depth_multiplier, self.filters),
            initializer=self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            order=self._order,
        )
        self.bias = _add_bias(self, self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel by itself, then mix the channels of each pixel."""
        x, padding = inputs.permute(self._to_torch), self._padding
        if padding is None:
            x, padding = self._pad(x)
        kernel = self.depthwise_kernel.permute(self._depthwise_order).flatten(0, 1).unsqueeze(1)  # (C·M, 1, K…)
        x = self._convolve(x, kernel, None, self.strides, padding, self.dilation_rate, self._groups)
        y = self._convolve(x, self.pointwise_kernel.permute(self._order), self.bias).permute(self._from_torch)
        return self.activation(y) if self._active else y


class SeparableConv1D(_SeparableConv):
    """Depthwise convolution of sequences, then one of size 1 over all channels. See :class:`SeparableConv2D`."""

    rank = 1


class SeparableConv2D(_SeparableConv):
    """Depthwise convolution, then one of size 1 over all channels (Chollet 2017, "Xception").

    Args:
        filters: output channels of the second convolution.
        depth_multiplier: filters per input channel of the first.
        depthwise_initializer, pointwise_initializer, …: of the first and the second kernel.
        kernel_size, strides, padding, dilation_rate: of the first; as for :class:`Conv2D`.
    """

    rank = 2
    strides: PerAxis = (1, 1)
    dilation_rate: PerAxis = (1, 1)


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D

for _layer in (Conv1D, Conv2D, Conv3D, SeparableConv1D, SeparableConv2D):
    registry.register("keras.layers", _layer, _layer.__name__.replace("Conv", "Convolution"))
