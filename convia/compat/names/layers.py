"""Layers that only older eras had, or had under other names: merges, dilated and transposed convolutions, Maxout, …"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import backend, initializers, layers
from convia.args import PerAxis
from convia.compat.door import today
from convia.compat.report import note
from convia.layer import Layer
from convia.layers.arguments import Activation, Constraint, Initializer, Regularizer

Convolution1D, Convolution2D, Convolution3D = layers.Conv1D, layers.Conv2D, layers.Conv3D
SeparableConvolution2D = layers.SeparableConv2D
CuDNNLSTM, CuDNNGRU = layers.LSTM, layers.GRU
BatchNormalizationV1 = BatchNormalizationV2 = SyncBatchNormalization = layers.BatchNormalization
AbstractRNNCell = Recurrent = layers.RNN
InputLayer, Input = layers.InputLayer, layers.Input


class PreprocessingLayer(Layer):
    """The base of layers that look at data before training: ``adapt``."""


class RandomHeight(layers.RandomZoom):
    """Zooms the height at random."""

    height_factor: Any = 0.2
    width_factor: Any = 0.0


class RandomWidth(Layer):
    """Zooms the width at random."""

    factor: Any = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._zoom = layers.RandomZoom(0.0, self.factor)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Zoom."""
        return self._zoom(inputs, training=training)


# -- merging ----------------------------------------------------------------------------------------------------------

_MODES: dict[str, Callable[..., Any]] = {
    "sum": layers.Add,
    "add": layers.Add,
    "mul": layers.Multiply,
    "concat": layers.Concatenate,
    "ave": layers.Average,
    "max": layers.Maximum,
    "dot": layers.Dot,
    "cos": layers.Dot,
}


def _merging(mode: Any, concat_axis: int, dot_axes: Any, output_shape: Any, name: Any, arguments: Any) -> Any:
    if callable(mode):
        return layers.Lambda(mode, arguments=arguments or {}, name=name)
    options: dict[str, Any] = {"name": name}
    if mode == "concat":
        options["axis"] = concat_axis
    if mode in ("dot", "cos"):
        options.update(axes=1 if dot_axes == -1 else dot_axes, normalize=mode == "cos")
    return _MODES[mode](**options)


def merge(inputs: Any, mode: Any = "sum", concat_axis: int = -1, dot_axes: Any = -1, output_shape: Any = None,
          output_mask: Any = None, arguments: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """Join tensors by sum, mul, concat, ave, max, dot, cos, or a function of their list."""
    note(f"merge(mode={mode if isinstance(mode, str) else 'function'})", "a layer of today")
    return _merging(mode, concat_axis, dot_axes, output_shape, name, arguments)(list(inputs))


class Merge(Layer):
    """Keras 1's layer that joins models or layers: ``Sequential.add(Merge([left, right], mode="concat"))``."""

    def __init__(self, layers: Any = None, mode: Any = "sum", concat_axis: int = -1, dot_axes: Any = -1,
                 output_shape: Any = None, output_mask: Any = None, arguments: Any = None, node_indices: Any = None,
                 tensor_indices: Any = None, name: str | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(name=name)
        self.branches = list(layers or ())
        self.mode, self.concat_axis, self.dot_axes = mode, concat_axis, dot_axes
        self._merging = _merging(mode, concat_axis, dot_axes, output_shape, None, arguments)

    @property
    def merged_inputs(self) -> list[Any]:
        """The symbolic inputs of the branches."""
        return [x for branch in self.branches for x in getattr(branch, "inputs", [branch.input])]

    @property
    def merged(self) -> Any:
        """The symbolic outputs of the branches, joined."""
        return self._merging([branch.output for branch in self.branches])

    def call(self, inputs: Any) -> Any:
        """Join tensors."""
        return self._merging(inputs)


class _Merge(layers.Add):
    """The base of merges in Keras 2: a subclass defines ``_merge_function(inputs)``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """Join tensors."""
        return self._merge_function(inputs)

    def _merge_function(self, inputs: Any) -> Any:
        return super().call(inputs)


# -- convolutions -----------------------------------------------------------------------------------------------------


def _dilated(base: Any, rank: int) -> Any:
    """A convolution with gaps, whose rate Keras 1 gave as ``atrous_rate`` after its own nine arguments."""

    class Atrous(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            sizes, args = args[: rank + 1], args[rank + 1 :]
            if len(sizes) > 1:
                kwargs["kernel_size"] = sizes[1:]
            if sizes:
                kwargs["filters"] = sizes[0]
            names = ("kernel_initializer", "activation", "weights", "padding", "strides", "dilation_rate")
            old = {"nb_filter": "filters", "init": "kernel_initializer", "border_mode": "padding",
                   "subsample": "strides", "atrous_rate": "dilation_rate", "bias": "use_bias",
                   "filter_length": "kernel_size", "W_regularizer": "kernel_regularizer",
                   "b_regularizer": "bias_regularizer", "dim_ordering": "data_format",
                   "subsample_length": "strides"}  # fmt: skip
            named = {old.get(key, key): value for key, value in kwargs.items()}
            named.update(zip(names, args, strict=False))
            if {"nb_row", "nb_col"} <= named.keys():
                named["kernel_size"] = (named.pop("nb_row"), named.pop("nb_col"))
            note("atrous_rate", "dilation_rate")
            base.__init__(self, **{key: today(key, value) for key, value in named.items()})

    Atrous.__name__ = Atrous.__qualname__ = f"AtrousConvolution{rank}D"
    return Atrous


AtrousConvolution1D, AtrousConvolution2D = _dilated(layers.Conv1D, 1), _dilated(layers.Conv2D, 2)
AtrousConv1D, AtrousConv2D = AtrousConvolution1D, AtrousConvolution2D


class Deconvolution2D(layers.Conv2DTranspose):
    """Keras 1's transposed convolution: (nb_filter, nb_row, nb_col, output_shape, …); the shape follows anyway."""

    def __init__(self, filters: Any = None, *args: Any, **kwargs: Any) -> None:
        sizes: Any = ()
        if args and all(isinstance(value, int) for value in args[:2]) and len(args) > 1:
            sizes, args = args[:2], args[2:]
        elif args:
            sizes, args = args[0], args[1:]
        names = {"nb_filter": "filters", "init": "kernel_initializer", "border_mode": "padding", "subsample": "strides",
                 "dim_ordering": "data_format", "bias": "use_bias", "W_regularizer": "kernel_regularizer",
                 "b_regularizer": "bias_regularizer"}  # fmt: skip
        given = {names.get(key, key): today(names.get(key, key), value) for key, value in kwargs.items()}
        wanted = given.pop("output_shape", args[0] if args else None)
        if {"nb_row", "nb_col"} <= given.keys():
            sizes = (given.pop("nb_row"), given.pop("nb_col"))
        if sizes:
            given["kernel_size"] = sizes
        if filters is not None:
            given["filters"] = filters
        super().__init__(**given)
        self._wanted = wanted


Convolution2DTranspose = layers.Conv2DTranspose
Deconvolution3D = layers.Conv3DTranspose


class _Local(Layer):
    """A convolution with another kernel at each place."""

    rank = 0
    filters: int
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: str = "valid"
    data_format: Any = None
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    implementation: int = 1

    def build(self, input_shape: Any) -> None:
        """Make a kernel (places, window·channels, filters) and a bias per place."""
        first = backend.image_data_format() if self.data_format is None else self.data_format
        sizes = input_shape[2:] if first == "channels_first" else input_shape[1:-1]
        channels = input_shape[1] if first == "channels_first" else input_shape[-1]
        places = [(n - k) // s + 1 for n, k, s in zip(sizes, self.kernel_size, self.strides, strict=True)]
        shape = (math.prod(places), math.prod(self.kernel_size) * channels, self.filters)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, None, True, True, self.kernel_regularizer, self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        if self.use_bias:
            bias = (self.filters, *places) if first == "channels_first" else (*places, self.filters)
            self.bias = self.add_weight(bias, self.bias_initializer, name="bias",
                                        regularizer=self.bias_regularizer, constraint=self.bias_constraint)  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve."""
        outputs = backend.functions.local_conv(inputs, self.kernel, self.kernel_size, self.strides, self.data_format)
        outputs = outputs + self.bias if self.use_bias else outputs
        y: Tensor = outputs if self.activation is None else self.activation(outputs)
        return y


class LocallyConnected1D(_Local):
    """A convolution of sequences with another kernel at each step."""

    rank = 1


class LocallyConnected2D(_Local):
    """A convolution of images with another kernel at each pixel."""

    rank = 2


# -- others -----------------------------------------------------------------------------------------------------------


class ThresholdedReLU(Layer):
    """x where x > theta, 0 elsewhere."""

    theta: float = 1.0

    def call(self, inputs: Tensor) -> Tensor:
        """Cut off."""
        return inputs * (inputs > self.theta).to(inputs.dtype)


class ParametricSoftplus(Layer):
    """alpha·ln(1 + e^(beta·x)) with weights alpha and beta."""

    alpha_init: float = 0.2
    beta_init: float = 5.0

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.alphas = self.add_weight(tuple(input_shape[1:]), initializers.Constant(self.alpha_init), name="alpha")
        self.betas = self.add_weight(tuple(input_shape[1:]), initializers.Constant(self.beta_init), name="beta")

    def call(self, inputs: Tensor) -> Tensor:
        """Compute it."""
        return self.alphas * torch.nn.functional.softplus(self.betas * inputs)


class SReLU(Layer):
    """x between two learned thresholds, learned slopes beyond them (Jin et al. 2016, arXiv:1512.07030)."""

    t_left_init: Initializer = "zeros"
    a_left_init: Initializer = "glorot_uniform"
    t_right_init: Initializer = "glorot_uniform"
    a_right_init: Initializer = "ones"

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        for name in ("t_left", "a_left", "t_right", "a_right"):
            start = getattr(self, f"{name}_init")
            setattr(self, name, self.add_weight(tuple(input_shape[1:]), start, name=name))

    def call(self, inputs: Tensor) -> Tensor:
        """Compute it."""
        right = self.t_left + self.t_right.abs()
        low, high = (inputs - self.t_left).clamp(max=0), (inputs - right).clamp(min=0)
        y: Tensor = torch.minimum(torch.maximum(inputs, self.t_left), right) + self.a_left * low + self.a_right * high
        return y


class MaxoutDense(Layer):
    """The greatest of several linear functions (Goodfellow et al. 2013)."""

    output_dim: int
    nb_feature: int = 4
    init: Initializer = "glorot_uniform"
    bias: bool = True

    def build(self, input_shape: Any) -> None:
        """Make the weights (features, inputs, outputs)."""
        self.kernels = self.add_weight((self.nb_feature, input_shape[-1], self.output_dim), self.init, name="W")
        if self.bias:
            self.biases = self.add_weight((self.nb_feature, self.output_dim), "zeros", name="b")

    def call(self, inputs: Tensor) -> Tensor:
        """Compute them."""
        found = torch.einsum("ni,fio->nfo", inputs, self.kernels)
        return (found + self.biases if self.bias else found).amax(1)


class Highway(Layer):
    """A dense layer whose output and input are mixed by a gate (Srivastava et al. 2015)."""

    init: Initializer = "glorot_uniform"
    activation: Activation = "linear"
    bias: bool = True

    def build(self, input_shape: Any) -> None:
        """Make the layer and its gate."""
        self._dense = layers.Dense(input_shape[-1], kernel_initializer=self.init)
        self._gate = layers.Dense(input_shape[-1], "sigmoid", bias_initializer=initializers.Constant(-2.0))

    def call(self, inputs: Tensor) -> Tensor:
        """Mix."""
        share = self._gate(inputs)
        y: Tensor = share * self.activation(self._dense(inputs)) + (1 - share) * inputs
        return y


def TimeDistributedDense(output_dim: int, **kwargs: Any) -> Any:  # noqa: N802
    """Return a Dense layer, which works on the last axis of any tensor."""
    note("TimeDistributedDense", "Dense")
    hints = {key: kwargs.pop(key) for key in ("input_shape", "input_dim", "batch_input_shape") if key in kwargs}
    if "input_dim" in hints:
        hints["input_shape"] = (kwargs.pop("input_length", None), hints.pop("input_dim"))
    return layers.Dense(output_dim, **kwargs, **hints)


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """Make a layer of its config."""
    return layers.deserialize(config, custom_objects)


__all__ = [
    "AbstractRNNCell",
    "AtrousConv1D",
    "AtrousConv2D",
    "AtrousConvolution1D",
    "AtrousConvolution2D",
    "BatchNormalizationV1",
    "BatchNormalizationV2",
    "Convolution1D",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Deconvolution2D",
    "Deconvolution3D",
    "Highway",
    "Input",
    "InputLayer",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MaxoutDense",
    "Merge",
    "ParametricSoftplus",
    "PreprocessingLayer",
    "RandomHeight",
    "RandomWidth",
    "Recurrent",
    "SReLU",
    "SeparableConvolution2D",
    "SyncBatchNormalization",
    "ThresholdedReLU",
    "TimeDistributedDense",
    "_Merge",
    "deserialize",
    "merge",
]
