"""Functions of networks: convolutions, pools, activations, losses, normalization: ``tf.nn``."""
# A row is a lambda, for the sake of TensorFlow's names of arguments, also where it merely passes them on.

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from convia import layout, ops, random
from convia.compat.tensorflow.door import api, given, numbers, torch_dtype, tracing
from convia.compat.tensorflow.math import MATH
from convia.compat.tensorflow.randomness import stream
from convia.compat.tensorflow.replicas import replicas
from convia.errors import explain


def _format(data_format: str | None) -> str:
    """Translate "NHWC", "NCHW" and their kin: the channels stand last unless they stand second."""
    return "channels_first" if str(data_format).upper().startswith("NC") else "channels_last"


def _inner(value: Any, rank: int, order: Any) -> Any:
    """Return the sizes along height and width of one number, one per axis of these, or one per axis of all."""
    if value is None or isinstance(value, int):
        return value or 1
    value = numbers(value)
    if len(value) == rank + 2:
        return value[1:-1] if order == "channels_last" else value[2:]
    return value if len(value) == rank else value[0]


def _padding(who: str, x: Any, padding: Any, order: Any) -> tuple[Any, str]:
    """Return the input, widened where the padding is a list of (before, after), and "valid" or "same"."""
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise ValueError(explain(f"{who}, argument 'padding'", repr(padding), "'SAME', 'VALID' or a list of pairs"))
        return x, padding.lower()
    return ops.pad(x, [tuple(pair) for pair in padding]), "valid"


def _convolution(rank: int | None, function: Callable[..., Any], doc: str) -> Any:
    def convolved(
        input: Any,
        filters: Any = None,
        strides: Any = None,
        padding: Any = "VALID",
        data_format: str | None = None,
        dilations: Any = None,
        filter: Any = None,
        stride: Any = None,
    ) -> Any:
        x, kernel, order = given(input), given(filter if filters is None else filters), _format(data_format)
        spatial = rank or len(x.shape) - 2
        x, padding = _padding(f"tf.nn.conv{spatial}d", x, padding, order)
        strides, dilations = (_inner(v, spatial, order) for v in (stride if strides is None else strides, dilations))
        return function(x, kernel, strides, padding, order, dilations)

    convolved.__doc__ = doc
    return api(convolved, record=())


def _separable(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    order = _format(data_format)
    strides, dilations = (_inner(value, 2, order) for value in (strides, dilations))
    kernels = given(depthwise_filter), given(pointwise_filter)
    return ops.separable_conv(given(input), *kernels, strides, padding.lower(), order, dilations)


def _spread(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """The gradient of a convolution: kernel (kernel…, filters, channels), a result of the given shape."""
    x, kernel, order = given(input), given(filters), _format(data_format)
    rank = x.ndim - 2
    wanted = _inner(numbers(output_shape), rank, order)
    steps = _inner(strides, rank, order)
    steps = (steps,) * rank if isinstance(steps, int) else steps
    there, back = layout.to_channels_first(rank, str(order)), layout.from_channels_first(rank, str(order))
    x = x.permute(there) if there else x
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    y = transposed(x, kernel.permute(layout.kernel_to_torch(rank)), stride=steps)
    for axis, (size, step) in enumerate(zip(wanted, steps, strict=True), 2):
        same = padding.upper() == "SAME"
        before = layout.same_padding(size, kernel.shape[axis - 2], step)[0] if same else 0
        missing = max(before + size - y.shape[axis], 0)
        y = F.pad(y, [0, 0] * (y.ndim - axis - 1) + [0, missing]).narrow(axis, before, size)
    return y.permute(back) if back else y


def _pooling(rank: int | None, function: Callable[..., Any], doc: str) -> Any:
    def pooled(
        input: Any = None,
        ksize: Any = 2,
        strides: Any = None,
        padding: Any = "VALID",
        data_format: str | None = None,
        value: Any = None,
    ) -> Any:
        x, order = given(value if input is None else input), _format(data_format)
        spatial = rank or len(x.shape) - 2
        return function(x, _inner(ksize, spatial, order), _inner(strides, spatial, order), padding.lower(), order)

    pooled.__doc__ = doc
    return api(pooled, record=())


def _pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: str = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    function = ops.max_pool if pooling_type.upper() == "MAX" else ops.average_pool
    return function(given(input), window_shape, strides or 1, padding.lower(), _format(data_format))


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    x, bias = given(value), given(bias)
    if _format(data_format) == "channels_first":
        bias = ops.reshape(bias, (1, -1, *[1] * (len(x.shape) - 2)))
    return ops.add(x, bias)


def _dropout(x: Any, *positional: Any, rate: Any = None, noise_shape: Any = None, seed: Any = None,
             keep_prob: Any = None) -> Any:  # fmt: skip
    """A fraction of the elements set to 0, the rest enlarged; it has no mode of inference.

    The second argument is the rate, but if it is a tensor, TensorFlow 1's ``keep_prob``, for which one fed numbers.
    """
    given_by_place = dict(zip(("rate", "noise_shape", "seed"), positional, strict=False))
    first = given_by_place.get("rate", rate)
    if positional and isinstance(first, torch.Tensor):
        first, keep_prob = None, first
    if tracing():
        return given(x) * 1
    noise_shape, seed = given_by_place.get("noise_shape", noise_shape), given_by_place.get("seed", seed)
    share = float(first if keep_prob is None else 1 - keep_prob)
    return random.dropout(given(x), share, None if noise_shape is None else numbers(noise_shape), stream(seed))


def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> Any:
    return ops.moments(given(x), tuple(numbers(axes)), bool(keepdims))


def _batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float) -> Any:
    factor = ops.rsqrt(ops.add(given(variance), variance_epsilon))
    factor = factor if scale is None else ops.multiply(factor, given(scale))
    y = ops.multiply(ops.subtract(given(x), given(mean)), factor)
    return y if offset is None else ops.add(y, given(offset))


def _sigmoid_crossentropy(labels: Any = None, logits: Any = None) -> Any:
    """max(x, 0) − x·z + ln(1 + e^−|x|), element by element."""
    z, x = given(labels), given(logits)
    return ops.add(
        ops.subtract(ops.relu(x), ops.multiply(x, ops.cast(z, x.dtype))), ops.softplus(ops.negative(ops.abs(x)))
    )


def _weighted_crossentropy(labels: Any = None, logits: Any = None, pos_weight: Any = None) -> Any:
    z, x = given(labels), given(logits)
    weight = 1 + (given(pos_weight) - 1) * z
    return (1 - z) * x + weight * (torch.log1p(torch.exp(-x.abs())) + F.relu(-x))


def _softmax_crossentropy(labels: Any = None, logits: Any = None, axis: int = -1, dim: Any = None) -> Any:
    x = given(logits)
    products = ops.multiply(ops.cast(given(labels), x.dtype), ops.log_softmax(x, axis if dim is None else dim))
    return ops.negative(ops.sum(products, axis=axis if dim is None else dim))


def _sparse_softmax_crossentropy(labels: Any = None, logits: Any = None) -> Any:
    x, classes = given(logits), given(labels).long()
    return -torch.log_softmax(x, -1).gather(-1, classes[..., None])[..., 0]


def _l2_loss(t: Any) -> Any:
    return ops.divide(ops.sum(ops.square(given(t))), 2)


def _average_loss(per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None) -> Any:
    """The sum of the losses of a batch divided by the size of the batch of all devices."""
    losses = given(per_example_loss)
    losses = losses if sample_weight is None else ops.multiply(losses, given(sample_weight))
    count = losses.shape[0] * replicas() if global_batch_size is None else int(global_batch_size)
    return ops.divide(ops.sum(losses), count)


def _lookup(params: Any, ids: Any, max_norm: Any = None) -> Any:
    rows = ops.take(given(params), given(ids), 0)
    if max_norm is None:
        return rows
    norm = ops.sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True))
    return ops.multiply(rows, ops.divide(max_norm, ops.maximum(norm, max_norm)))


def _local_response(input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5) -> Any:
    """x/(bias + α·Σx²)^β, the sum over the neighbouring channels (Krizhevsky et al. 2012)."""
    x = given(input)
    squares = F.pad(x.square(), (depth_radius, depth_radius)).unfold(-1, 2 * depth_radius + 1, 1).sum(-1)
    return x / (bias + alpha * squares) ** beta


def _fused_norm(
    x: Any, scale: Any, offset: Any, mean: Any = None, variance: Any = None, epsilon: float = 0.001,
    data_format: str = "NHWC", is_training: bool = True, exponential_avg_factor: float = 1.0,
) -> Any:  # fmt: skip
    x = given(x)
    if is_training:
        variance, mean = torch.var_mean(x, (0, 1, 2), correction=0)
    return _batch_normalization(x, mean, variance, offset, scale, epsilon), given(mean), given(variance)


@api
def _with_argmax(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC",
                 output_dtype: Any = "int64", include_batch_in_index: bool = False) -> Any:  # fmt: skip
    """Return the largest of each window and where in its image it was: (row · width + column) · channels + channel."""
    images = given(input)
    _, height, width, channels = images.shape
    size, step = (_inner(value, 2, "channels_last") for value in (ksize, strides))
    (tall, wide), (down, right) = ((v, v) if isinstance(v, int) else v for v in (size, step))
    need = [0, 0]
    if padding.upper() == "SAME":
        need = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in ((height, down, tall), (width, right, wide))]
    top, left = need[0] // 2, need[1] // 2
    edges = (left, need[1] - left, top, need[0] - top)
    padded = F.pad(images.permute(0, 3, 1, 2), edges, value=float("-inf"))
    found, places = F.max_pool2d(padded, (tall, wide), (down, right), return_indices=True)
    rows, columns = places // padded.shape[-1] - top, places % padded.shape[-1] - left
    numbered = (rows * width + columns) * channels + torch.arange(channels, device=images.device)[:, None, None]
    if include_batch_in_index:
        first = torch.arange(len(images), device=images.device) * (height * width * channels)
        numbered = numbered + first[:, None, None, None]
    return found.permute(0, 2, 3, 1), numbered.permute(0, 2, 3, 1).to(torch_dtype(output_dtype))


def _space(function: Callable[..., Any]) -> Callable[..., Any]:
    def moved(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
        return function(given(input), block_size, _format(data_format))

    return moved


def _activation(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda features: function(given(features))


_ROWS: dict[str, Callable[..., Any]] = {
    **{name: _activation(getattr(ops, name)) for name in ["elu", "relu", "relu6", "selu", "softsign"]},
    "batch_normalization": _batch_normalization,
    "bias_add": _bias_add,
    "compute_average_loss": _average_loss,
    "crelu": lambda features, axis=-1: ops.concatenate([ops.relu(given(features)), ops.relu(-given(features))], axis),
    "depth_to_space": _space(ops.depth_to_space),
    "embedding_lookup": _lookup,
    "gelu": lambda features, approximate=False: ops.gelu(given(features), approximate),
    "l2_loss": _l2_loss,
    "leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(given(features), alpha),
    "log_softmax": lambda logits, axis=None: ops.log_softmax(given(logits), -1 if axis is None else axis),
    "moments": _moments,
    "pool": _pool,
    "scale_regularization_loss": lambda regularization_loss: ops.divide(
        ops.sum(given(regularization_loss)), replicas()
    ),
    "separable_conv2d": _separable,
    "sigmoid_cross_entropy_with_logits": _sigmoid_crossentropy,
    "silu": lambda features, beta=1.0: ops.multiply(given(features), ops.sigmoid(ops.multiply(given(features), beta))),
    "softmax": lambda logits, axis=None, dim=None: ops.softmax(
        given(logits), next((a for a in (axis, dim) if a is not None), -1)
    ),
    "softmax_cross_entropy_with_logits": _softmax_crossentropy,
    "space_to_depth": _space(ops.space_to_depth),
    "swish": lambda features, beta=1.0: ops.multiply(given(features), ops.sigmoid(ops.multiply(given(features), beta))),
}
_RECORDED: dict[str, Callable[..., Any]] = {
    "conv2d_transpose": _spread,
    "conv3d_transpose": _spread,
    "conv_transpose": _spread,
    "dropout": _dropout,
    "local_response_normalization": _local_response,
    "lrn": _local_response,
    "max_pool_with_argmax": _with_argmax,
    "sparse_softmax_cross_entropy_with_logits": _sparse_softmax_crossentropy,
    "weighted_cross_entropy_with_logits": _weighted_crossentropy,
}
_SHARED = "in_top_k l2_normalize log_sigmoid sigmoid softplus tanh top_k zero_fraction confusion_matrix"

NN: dict[str, Any] = {
    **{name: MATH[name] for name in _SHARED.split()},
    **{name: api(function, record=()) for name, function in _ROWS.items()},
    **{name: api(function) for name, function in _RECORDED.items()},
    **{f"conv{rank}d": _convolution(rank, ops.conv, "Convolve.") for rank in (1, 2, 3)},
    "convolution": _convolution(None, ops.conv, "Convolve."),
    "depthwise_conv2d": _convolution(2, ops.depthwise_conv, "Convolve each channel by itself."),
    **{f"max_pool{rank}d": _pooling(rank, ops.max_pool, "The maximum of windows.") for rank in (1, 2, 3)},
    **{f"avg_pool{rank}d": _pooling(rank, ops.average_pool, "The mean of windows.") for rank in (1, 2, 3)},
    "max_pool": _pooling(None, ops.max_pool, "The maximum of windows."),
    "avg_pool": _pooling(None, ops.average_pool, "The mean of windows."),
    "softmax_cross_entropy_with_logits_v2": api(_softmax_crossentropy, record=()),
}
FUSED_BATCH_NORM = api(_fused_norm)
for _name, _function in NN.items():
    if getattr(_function, "__name__", "") in ("<lambda>", "called"):
        _function.__name__ = _name  # what is written into configs: activation=tf.nn.relu
__all__ = ["FUSED_BATCH_NORM", "NN"]
