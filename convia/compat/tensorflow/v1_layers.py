"""``tf.layers`` of TensorFlow 1: functions whose variables have names, so that a scope may share them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import initializers, layers, ops
from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.door import api, given, numbers, tracing
from convia.compat.tensorflow.v1_scopes import (
    AUTO_REUSE,
    GraphKeys,
    Scope,
    add_to_collection,
    get_variable,
    get_variable_scope,
    variable_scope,
)
from convia.symbolic import is_symbolic

_add, _conv, _conv_transpose, _matmul, _reshape, _separable_conv = (
    api(function, record=())
    for function in (ops.add, ops.conv, ops.conv_transpose, ops.matmul, ops.reshape, ops.separable_conv)
)


def _activated(x: Any, activation: Any) -> Any:
    return x if activation is None else activation(x)


def _order(data_format: Any) -> str:
    return "channels_last" if data_format is None else str(data_format)


def _sizes(value: Any, rank: int) -> tuple[int, ...]:
    found: tuple[int, ...] = numbers(value)
    return found * rank if len(found) == 1 else found


def _scope(name: Any, default: str, reuse: Any) -> variable_scope:
    """The scope of a layer's variables: of its name, or of its kind and a number; or one that exists."""
    shared = True if reuse else None
    return variable_scope(name, reuse=shared) if name else variable_scope(None, default, reuse=shared)


class _Options:
    """How a layer makes its variables.

    Args:
        options: arguments such as kernel_initializer and bias_regularizer.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    def variable(self, name: str, shape: Any, prefix: str, default: Any = None) -> Any:
        """Make, or find, a variable of the scope in use."""
        options, start = self._options, self._options.get(f"{prefix}_initializer")
        return get_variable(
            name,
            shape,
            "float32",
            default if start is None else start,
            options.get(f"{prefix}_regularizer"),
            trainable=options.get("trainable", True),
        )


def _biased(x: Any, made: _Options, filters: int, use_bias: bool, order: str) -> Any:
    if not use_bias:
        return x
    bias = made.variable("bias", (filters,), "bias", initializers.Zeros())
    if order == "channels_first":
        bias = _reshape(bias, (-1, *(1,) * (len(x.shape) - 2)))
    return _add(x, bias)


def dense(inputs: Any, units: int, activation: Any = None, use_bias: bool = True, name: str | None = None,
          reuse: Any = None, **options: Any) -> Any:  # fmt: skip
    """Return activation(x·W + b) over the last axis."""
    x, made = given(inputs), _Options(options)
    with _scope(name, "dense", reuse):
        kernel = made.variable("kernel", (int(x.shape[-1]), int(units)), "kernel")
        found = _matmul(x, kernel)
        if use_bias:
            found = _add(found, made.variable("bias", (int(units),), "bias", initializers.Zeros()))
    return _activated(found, activation)


def _convolving(rank: int) -> Callable[..., Any]:
    def convolution(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                    data_format: Any = "channels_last", dilation_rate: Any = 1, activation: Any = None,
                    use_bias: bool = True, name: str | None = None, reuse: Any = None,
                    **options: Any) -> Any:  # fmt: skip
        """Convolve, add a bias and activate."""
        x, made, order = given(inputs), _Options(options), _order(data_format)
        channels = int(x.shape[1 if order == "channels_first" else -1])
        with _scope(name, f"conv{rank}d", reuse):
            kernel = made.variable("kernel", (*_sizes(kernel_size, rank), channels, int(filters)), "kernel")
            steps, gaps = _sizes(strides, rank), _sizes(dilation_rate, rank)
            found = _conv(x, kernel, steps, padding.lower(), order, gaps)
            found = _biased(found, made, int(filters), use_bias, order)
        return _activated(found, activation)

    return convolution


def _spreading(rank: int) -> Callable[..., Any]:
    def transposed(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                   data_format: Any = "channels_last", activation: Any = None, use_bias: bool = True,
                   name: str | None = None, reuse: Any = None, **options: Any) -> Any:  # fmt: skip
        """Convolve the other way round, add a bias and activate."""
        x, made, order = given(inputs), _Options(options), _order(data_format)
        channels = int(x.shape[1 if order == "channels_first" else -1])
        with _scope(name, f"conv{rank}d_transpose", reuse):
            kernel = made.variable("kernel", (*_sizes(kernel_size, rank), int(filters), channels), "kernel")
            found = _conv_transpose(x, kernel, _sizes(strides, rank), padding.lower(), data_format=order)
            found = _biased(found, made, int(filters), use_bias, order)
        return _activated(found, activation)

    return transposed


def separable_conv2d(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                     data_format: Any = "channels_last", dilation_rate: Any = 1, depth_multiplier: int = 1,
                     activation: Any = None, use_bias: bool = True, name: str | None = None, reuse: Any = None,
                     **options: Any) -> Any:  # fmt: skip
    """Convolve each channel by itself, mix the results, add a bias and activate."""
    x, made, order = given(inputs), _Options(options), _order(data_format)
    channels = int(x.shape[1 if order == "channels_first" else -1])
    with _scope(name, "separable_conv2d", reuse):
        each = made.variable("depthwise_kernel", (*_sizes(kernel_size, 2), channels, depth_multiplier), "depthwise")
        mixing = made.variable("pointwise_kernel", (1, 1, channels * depth_multiplier, int(filters)), "pointwise")
        steps, gaps = _sizes(strides, 2), _sizes(dilation_rate, 2)
        found = _separable_conv(x, each, mixing, steps, padding.lower(), order, gaps)
        found = _biased(found, made, int(filters), use_bias, order)
    return _activated(found, activation)


# -- without variables ------------------------------------------------------------------------------------------------


def _pooling(kind: str, rank: int) -> Callable[..., Any]:
    def pooled(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid", data_format: Any = "channels_last",
               name: str | None = None) -> Any:  # fmt: skip
        """Take the greatest, or the mean, of each window."""
        sizes, steps = _sizes(pool_size, rank), _sizes(strides, rank)
        return getattr(ops, f"{kind}_pool")(given(inputs), sizes, steps, padding.lower(), _order(data_format))

    return pooled


def flatten(inputs: Any, name: str | None = None, data_format: Any = "channels_last") -> Any:
    """Return (N, …) as (N, the rest)."""
    return layers.Flatten(data_format=_order(data_format))(given(inputs))


@api
def _dropped(x: Any, rate: Any, training: Any) -> Any:
    share = float(rate)
    if tracing() or not bool(training) or share == 0:
        return x * 1
    return torch.nn.functional.dropout(x, share)


def dropout(inputs: Any, rate: Any = 0.5, noise_shape: Any = None, seed: Any = None, training: Any = False,
            name: str | None = None) -> Any:  # fmt: skip
    """Set a share of the elements to 0, and raise the others, where ``training`` is true."""
    x = given(inputs)
    if graphs.is_deferring() and not is_symbolic(x):
        return graphs.deferred(_dropped, (x, rate, training))
    return _dropped(x, rate, training)


# -- normalization ----------------------------------------------------------------------------------------------------


class _Statistics:
    """The moving statistics of a normalization, and the operation that moves them by what the run has seen."""

    def __init__(self, mean: Any, variance: Any, momentum: float) -> None:
        self._moving, self._momentum = (mean, variance), momentum
        self._seen: Any = None
        self.update = graphs.Operation(self._move, name="AssignMovingAvg")

    def see(self, mean: Tensor, variance: Tensor) -> None:
        """Note the statistics of a batch."""
        self._seen = mean.detach(), variance.detach()

    def _move(self) -> None:
        if self._seen is not None:
            with torch.no_grad():
                for moving, seen in zip(self._moving, self._seen, strict=True):
                    moving.mul_(self._momentum).add_(seen.to(moving.dtype), alpha=1 - self._momentum)
            self._seen = None


@api
def _normalized(x: Any, training: Any, weights: Any, moving: Any, axis: int, epsilon: float, statistics: Any) -> Any:
    """Normalize per channel: by the batch where ``training`` is true, else by the moving statistics."""
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    mean, variance = moving
    if not tracing() and bool(training):
        variance, mean = torch.var_mean(x, [a for a in range(x.ndim) if a != axis % x.ndim], correction=0)
        statistics.see(mean, variance)
    scale, shift = weights
    factor = torch.rsqrt(variance + epsilon) * (1 if scale is None else scale)
    offset = (0 if shift is None else shift) - mean * factor
    return x * factor.reshape(shape) + offset.reshape(shape)


def batch_normalization(inputs: Any, axis: Any = -1, momentum: float = 0.99, epsilon: float = 1e-3,
                        center: bool = True, scale: bool = True, training: Any = False, name: str | None = None,
                        reuse: Any = None, trainable: bool = True, **options: Any) -> Any:  # fmt: skip
    """Normalize per channel; what moves its statistics is in ``tf.GraphKeys.UPDATE_OPS``, for a step to depend on.

    Outside of graphs the statistics move at once.
    """
    x, place = given(inputs), int(axis[0] if isinstance(axis, (list, tuple)) else axis)
    made, shape = _Options({**options, "trainable": trainable}), (int(x.shape[place]),)
    fixed = _Options({**options, "trainable": False})
    with _scope(name, "batch_normalization", reuse):
        gamma = made.variable("gamma", shape, "gamma", initializers.Ones()) if scale else None
        beta = made.variable("beta", shape, "beta", initializers.Zeros()) if center else None
        mean = fixed.variable("moving_mean", shape, "moving_mean", initializers.Zeros())
        variance = fixed.variable("moving_variance", shape, "moving_variance", initializers.Ones())
    statistics = _Statistics(mean, variance, momentum)
    found = _normalized(x, training, (gamma, beta), (mean, variance), place, epsilon, statistics)
    if not is_symbolic(found):
        statistics.update.act()
    elif training is not False:
        add_to_collection(GraphKeys.UPDATE_OPS, statistics.update)
    return found


# -- classes ----------------------------------------------------------------------------------------------------------


class _Object:
    """A layer as an object: each call has the same variables."""

    function: Callable[..., Any]
    kind: str

    def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
        self._args, self._options = args, options
        self._scope = Scope(get_variable_scope().original_name_scope + (name or graphs.unique(self.kind)), AUTO_REUSE)

    def __call__(self, inputs: Any, **more: Any) -> Any:
        return type(self).function(inputs, *self._args, name=self._scope, **self._options, **more)

    apply = __call__


def _as_class(name: str, function: Callable[..., Any], kind: str) -> Any:
    return type(name, (_Object,), {"function": staticmethod(function), "kind": kind, "__doc__": function.__doc__})


FUNCTIONS: dict[str, Any] = {
    "average_pooling1d": _pooling("average", 1),
    "average_pooling2d": _pooling("average", 2),
    "average_pooling3d": _pooling("average", 3),
    "batch_normalization": batch_normalization,
    "conv1d": _convolving(1),
    "conv2d": _convolving(2),
    "conv2d_transpose": _spreading(2),
    "conv3d": _convolving(3),
    "conv3d_transpose": _spreading(3),
    "dense": dense,
    "dropout": dropout,
    "flatten": flatten,
    "max_pooling1d": _pooling("max", 1),
    "max_pooling2d": _pooling("max", 2),
    "max_pooling3d": _pooling("max", 3),
    "separable_conv2d": separable_conv2d,
}
_CLASSES = {
    "BatchNormalization": "batch_normalization",
    "Conv1D": "conv1d",
    "Conv2D": "conv2d",
    "Conv2DTranspose": "conv2d_transpose",
    "Conv3D": "conv3d",
    "Dense": "dense",
    "SeparableConv2D": "separable_conv2d",
}
LAYERS: dict[str, Any] = {
    **FUNCTIONS,
    **{name: _as_class(name, FUNCTIONS[kind], kind) for name, kind in _CLASSES.items()},
}
__all__ = ["FUNCTIONS", "LAYERS"]
