"""Transposed convolutions, which go the way of a convolution back: from its output's size to its input's."""

# It thinks that redeclared arguments keep their place, see convia/args.py:
# mypy: disable-error-code="misc"

from typing import Annotated, Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import layout, registry
from convia.args import Convert, PerAxis, PositiveInt, whole_tuple
from convia.errors import explain
from convia.layers.arguments import Activation, Constraint, DataFormat, Initializer, Padding, Regularizer
from convia.layers.floating import _Floating
from convia.layers.spatial import _Spatial

__all__ = [
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "Convolution1DTranspose",
    "Convolution2DTranspose",
    "Convolution3DTranspose",
]

_SPREAD = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _output_padding(value: Any, owner: Any, name: str) -> tuple[int, ...] | None:
    return None if value is None else whole_tuple(value, owner.rank, owner, name, minimum=0)


class _ConvTranspose(_Floating, _Spatial):
    filters: PositiveInt
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    output_padding: Annotated[Any, Convert(_output_padding)] = None
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def __post_init__(self) -> None:
        """Check strides against dilation and output_padding; split the crops into torch's arguments and a slice."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                explain(
                    type(self).__name__,
                    f"strides={self.strides} with dilation_rate={self.dilation_rate}",
                    "only one of the two greater than 1",
                )
            )
        given = self.output_padding or (None,) * self.rank
        if any(extra is not None and extra >= stride for extra, stride in zip(given, self.strides, strict=True)):
            raise ValueError(
                explain(
                    type(self).__name__,
                    f"output_padding={given} with strides={self.strides}",
                    "an output_padding less than the stride along each axis",
                )
            )
        super().__post_init__()
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        same = self.padding == "same"
        cut = [layout.transposed_crops(*axis, same) for axis in zip(spans, self.strides, given, strict=True)]
        self._cut = tuple(start for start, _ in cut)  # torch drops as many on both sides, and adds at the end
        self._extra = tuple(max(start - end, 0) for start, end in cut)
        rests = [slice(None, min(start - end, 0) or None) for start, end in cut]
        self._window = (slice(None), slice(None), *rests) if any(rest.stop for rest in rests) else None
        self._smallest = (1,) * self.rank
        self._spread = _SPREAD[self.rank]
        self._order = layout.kernel_to_torch(self.rank)

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (kernel_size…, filters, channels) and ``bias`` (filters,)."""
        super().build(input_shape)
        channels = self._fix_channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            order=self._order,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Spread each pixel over a window, and add up where windows overlap."""
        x, kernel = inputs.permute(self._to_torch), self.kernel.permute(self._order)
        y = self._spread(x, kernel, self.bias, self.strides, self._cut, self._extra, 1, self.dilation_rate)
        if self._window is not None:
            y = y[self._window]
        y = y.permute(self._from_torch)
        return self.activation(y) if self._active else y


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution of sequences. See :class:`Conv2DTranspose`."""

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution: (batch, height, width, channels) → (batch, height · stride, width · stride, filters).

    It is the gradient of a convolution with respect to its input (Zeiler et al. 2010, "Deconvolutional networks").

    Args:
        strides: by how much the output is larger; greater than 1 only without dilation.
        padding: "same" gives W·S, "valid" (W − 1)·S + max(K, S) elements.
        output_padding: elements to add at the end, less than the strides: W − 1)·S + K + output_padding elements for
            "valid", (W − 1)·S + K mod 2 + output_padding for "same".
        filters and the others: as for :class:`Conv2D`.

    Raises:
        ValueError: strides with dilation, an output_padding that is not less than the stride.
    """

    rank = 2
    strides: PerAxis = (1, 1)
    dilation_rate: PerAxis = (1, 1)


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution of volumes. See :class:`Conv2DTranspose`; data_format comes before output_padding."""

    rank = 3

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = (1, 1, 1),
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, *args, **kwargs
        )


Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)

for _layer in (Conv1DTranspose, Conv2DTranspose, Conv3DTranspose):
    registry.register("keras.layers", _layer, _layer.__name__.replace("Conv", "Convolution"))
