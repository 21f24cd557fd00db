"""Recurrent layers for sequences of images: long short-term memory whose products are convolutions."""

# The arguments of these layers stand in Keras's order, not in that of the base class:
# mypy: disable-error-code="misc"

from dataclasses import KW_ONLY
from typing import Any

import torch
from torch import Tensor

from convia import config, layout, ops, random
from convia.args import PerAxis, PositiveInt, field
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layers.arguments import Activation, Constraint, DataFormat, Initializer, Padding, Regularizer
from convia.layers.recurrent import Shape, _CellRNN
from convia.layers.recurrent_cells import Rate, _Cell, lstm_step, open_forget_gate

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


class _ConvLSTMCell(_Cell):
    """As LSTMCell, with convolutions: of the inputs as the arguments say, of the state with "same" padding."""

    gates = 4
    rank: int
    filters: PositiveInt
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._separate = True
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                explain(
                    f"ConvLSTM{self.rank}D",
                    f"strides={self.strides} with dilation_rate={self.dilation_rate}",
                    "only one of the two greater than 1",
                )
            )

    @property
    def state_size(self) -> Any:
        """The channels of h and c."""
        return [self.filters, self.filters]

    @property
    def output_size(self) -> int:
        """The channels of the output."""
        return self.filters

    @property
    def _ndim(self) -> int:
        return self.rank + 2

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (K…, channels, 4 · filters), ``recurrent_kernel`` (K…, filters, 4 · filters), ``bias``."""
        if None in input_shape[1:]:
            raise ValueError(
                explain(
                    f"ConvLSTM{self.rank}D layer",
                    f"images of shape {tuple(input_shape[1:])}",
                    "known sizes and channels: the state has them from the first step on",
                )
            )
        self._step_shape = tuple(input_shape[1:])
        channels = input_shape[layout.channel_axis(self.data_format)]
        order = layout.kernel_to_torch(self.rank)
        self._add_weights((*self.kernel_size, channels), (*self.kernel_size, self.filters), order)

    def _first_bias(self) -> Any:
        return open_forget_gate(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def state_shape(self, step_shape: Shape) -> Shape:
        """Return the shape of the output and the states for one step's images."""
        sizes = [step_shape[axis] for axis in layout.spatial_axes(self.rank, self.data_format)]
        windows = zip(sizes, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        new = [
            None if size is None else -(-size // s) if self.padding == "same" else layout.output_size(size, k, 0, s, d)
            for size, k, s, d in windows
        ]
        channels_last = self.data_format == "channels_last"
        return (step_shape[0], *new, self.filters) if channels_last else (step_shape[0], self.filters, *new)

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return images of 0 for h and c."""
        shape: Any = self.state_shape((batch_size or 0, *self._step_shape))
        return [torch.zeros(shape, dtype=self._input_dtype, device=config.device()) for _ in range(2)]

    def _multiply(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve the images of one step, or of all steps (batch, steps, …); the result is channels_last."""
        lead = x.shape[: -self.rank - 1]
        x = self._channels_last(x.flatten(0, len(lead) - 1))
        y: Tensor = ops.conv(x, kernel, self.strides, self.padding, "channels_last", self.dilation_rate)
        z: Tensor = y.unflatten(0, lead)
        return z

    def _multiply_state(self, h: Tensor, kernel: Tensor) -> Tensor:
        y: Tensor = ops.conv(self._channels_last(h), kernel, 1, "same", "channels_last")
        return y

    def _channels_last(self, x: Tensor) -> Tensor:
        return x if self.data_format == "channels_last" else x.movedim(1, -1)

    def _as_given(self, x: Tensor) -> Tensor:
        return x if self.data_format == "channels_last" else x.movedim(-1, 1)

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Compute the gates, then the new states."""
        h, c = states
        z = projected + self._mix(self._multiply_state, h, self.recurrent_kernel, self._state_masks(h, training))
        c = self._channels_last(c)
        _, new = lstm_step(z.chunk(4, -1), c, self.activation, self.recurrent_activation)
        h, c = map(self._as_given, new)
        return h, [h, c]


class _ConvLSTM(_CellRNN, cell=_ConvLSTMCell):
    filters: PositiveInt
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None
    _: KW_ONLY  # for type checkers
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = field(default=False, kw_only=True)
    zero_output_for_mask: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def _step_shapes(self, step_shape: Shape) -> tuple[Shape, Any]:
        shape = self.cell.state_shape(step_shape)
        return shape, [shape, shape]


class ConvLSTM1D(_ConvLSTM):
    """Convolutional LSTM for sequences of rows: (batch, steps, width, channels). See :class:`ConvLSTM2D`."""

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """Convolutional LSTM (Shi et al. 2015) for videos: (batch, steps, height, width, channels) → (batch, …, filters).

    Args:
        filters: channels of the output and the states.
        kernel_size, strides, padding, data_format, dilation_rate: of the convolution of the inputs, see
            :class:`Conv2D`; that of the state has strides 1 and keeps the size.
        activation and the others: those of :class:`LSTMCell` and of :class:`RNN`.

    Raises:
        ValueError: strides with dilation; images of unknown size.
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """Convolutional LSTM for sequences of volumes: (batch, steps, d, h, w, channels). See :class:`ConvLSTM2D`."""

    rank = 3
