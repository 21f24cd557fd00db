"""The functions that programs of Keras 1 and 2 know as ``K``: ``from keras import backend as K``.

They work on tensors with numbers and, as in those days, on symbolic ones: ``K.function`` computes symbolic tensors from
others, ``K.gradients`` makes symbolic gradients. Most are rows of a table over ``convia.ops``.
"""
# ruff: noqa: PLW0108
# A row is a lambda, for the sake of Keras's names of arguments, also where it merely passes them on.

import math
from typing import Any

import numpy as np
import torch

from convia import ops, random
from convia.backend import functions as f
from convia.backend.functions import batch_dot, conv1d, conv2d_transpose, rnn, separable_conv2d, switch
from convia.backend.phase import (
    clear_session,
    in_test_phase,
    in_train_phase,
    learning_phase,
    learning_phase_scope,
    set_learning_phase,
)
from convia.backend.symbols import (
    batch_set_value,
    constant,
    count_params,
    function,
    get_value,
    gradients,
    is_float_dtype,
    is_int_dtype,
    is_keras_tensor,
    manual_variable_initialization,
    moving_average_update,
    name_scope,
    placeholder,
    set_value,
    standardize_dtype,
    update,
    variable,
)
from convia.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from convia.errors import explain, nearest
from convia.naming import get_uid, reset_uids
from convia.ops.door import result_type
from convia.symbolic import op

_drop = op(random.dropout)
_show = op(f.show)
_local = f.local_conv

_ROWS: dict[str, tuple[Any, str]] = {
    # element by element
    "abs": (lambda x: ops.absolute(x), "|x|."),
    "cos": (lambda x: ops.cos(x), "cos x."),
    "exp": (lambda x: ops.exp(x), "eˣ."),
    "log": (lambda x: ops.log(x), "ln x."),
    "round": (lambda x: ops.round(x), "The nearest whole number, halves to the even one."),
    "sign": (lambda x: ops.sign(x), "−1, 0 or 1."),
    "sin": (lambda x: ops.sin(x), "sin x."),
    "sqrt": (lambda x: ops.sqrt(ops.maximum(x, 0.0)), "√x, 0 for negative x."),
    "square": (lambda x: ops.square(x), "x²."),
    "pow": (lambda x, a: ops.power(x, a), "xᵃ."),
    "clip": (lambda x, min_value, max_value: _clip(x, min_value, max_value), "x limited to an interval."),
    "equal": (lambda x, y: ops.equal(x, y), "Whether x = y."),
    "not_equal": (lambda x, y: ops.not_equal(x, y), "Whether x ≠ y."),
    "greater": (lambda x, y: ops.greater(x, y), "Whether x > y."),
    "greater_equal": (lambda x, y: ops.greater_equal(x, y), "Whether x ≥ y."),
    "less": (lambda x, y: ops.less(x, y), "Whether x < y."),
    "less_equal": (lambda x, y: ops.less_equal(x, y), "Whether x ≤ y."),
    "maximum": (lambda x, y: ops.maximum(x, y), "The greater of x and y."),
    "minimum": (lambda x, y: ops.minimum(x, y), "The smaller of x and y."),
    # activations
    "elu": (lambda x, alpha=1.0: ops.elu(x, alpha), "x for x > 0, α(eˣ − 1) otherwise."),
    "hard_sigmoid": (
        lambda x: ops.clip(f.given(x) * 0.2 + 0.5, 0.0, 1.0),
        "0.2·x + 0.5 limited to [0, 1], as Keras 2 has it.",
    ),
    "relu": (lambda x, alpha=0.0, max_value=None, threshold=0.0: _relu(x, alpha, max_value, threshold), "max(x, 0)."),
    "sigmoid": (lambda x: ops.sigmoid(x), "1/(1 + e⁻ˣ)."),
    "softmax": (lambda x, axis=-1: ops.softmax(x, axis), "eˣ divided by its sum along an axis."),
    "softplus": (lambda x: ops.softplus(x), "ln(1 + eˣ)."),
    "softsign": (lambda x: ops.softsign(x), "x/(1 + |x|)."),
    "tanh": (lambda x: ops.tanh(x), "Hyperbolic tangent."),
    # along axes
    "all": (lambda x, axis=None, keepdims=False: ops.all(x, axis, keepdims), "Whether all elements are true."),
    "any": (lambda x, axis=None, keepdims=False: ops.any(x, axis, keepdims), "Whether any element is true."),
    "argmax": (lambda x, axis=-1: ops.cast(ops.argmax(x, axis), "int64"), "The position of the greatest element."),
    "argmin": (lambda x, axis=-1: ops.cast(ops.argmin(x, axis), "int64"), "The position of the least element."),
    "cumprod": (lambda x, axis=0: ops.cumprod(x, axis), "The product of the elements so far."),
    "cumsum": (lambda x, axis=0: ops.cumsum(x, axis), "The sum of the elements so far."),
    "l2_normalize": (lambda x, axis=None: _l2_normalize(x, axis), "x divided by its Euclidean norm."),
    "max": (lambda x, axis=None, keepdims=False: f.greatest(x, axis, keepdims), "The greatest element."),
    "mean": (lambda x, axis=None, keepdims=False: ops.mean(x, axis, keepdims), "The mean."),
    "min": (lambda x, axis=None, keepdims=False: f.least(x, axis, keepdims), "The least element."),
    "prod": (lambda x, axis=None, keepdims=False: ops.prod(x, axis, keepdims), "The product."),
    "std": (lambda x, axis=None, keepdims=False: ops.std(x, axis, keepdims), "The standard deviation."),
    "sum": (lambda x, axis=None, keepdims=False: ops.sum(x, axis, keepdims), "The sum."),
    "var": (lambda x, axis=None, keepdims=False: ops.var(x, axis, keepdims), "The variance."),
    # shape and type
    "batch_flatten": (lambda x: ops.reshape(x, (-1, math.prod(x.shape[1:]))), "(N, …) to (N, elements)."),
    "cast": (lambda x, dtype: ops.cast(x, dtype), "x in another type."),
    "cast_to_floatx": (lambda x: _to_floatx(x), "x in the default float type; arrays stay arrays."),
    "concatenate": (lambda tensors, axis=-1: ops.concatenate(tensors, axis), "Join along an axis."),
    "dtype": (lambda x: ops.dtype(x), "The name of the type."),
    "eval": (lambda x: get_value(x), "The numbers as a NumPy array."),
    "expand_dims": (lambda x, axis=-1: ops.expand_dims(x, axis), "A new axis of size 1."),
    "flatten": (lambda x: ops.reshape(x, (-1,)), "The elements as a vector."),
    "gather": (lambda reference, indices: ops.take(reference, indices, 0), "The rows at the given positions."),
    "int_shape": (lambda x: tuple(x.shape), "The sizes, None for unknown ones."),
    "is_sparse": (lambda tensor: False, "False: there are no sparse tensors here."),
    "ndim": (lambda x: ops.ndim(x), "The number of axes."),
    "one_hot": (lambda indices, num_classes: ops.one_hot(indices, num_classes), "1 at the class, 0 elsewhere."),
    "permute_dimensions": (lambda x, pattern: ops.transpose(x, pattern), "The axes in another order."),
    "repeat": (lambda x, n: ops.repeat(ops.expand_dims(x, 1), n, 1), "(N, D) to (N, n, D)."),
    "repeat_elements": (lambda x, rep, axis: ops.repeat(x, rep, axis), "Each element repeated in place."),
    "reshape": (lambda x, shape: ops.reshape(x, shape), "The elements in another shape."),
    "reverse": (lambda x, axes: ops.flip(x, axes), "The order reversed along axes."),
    "shape": (lambda x: ops.shape(x), "The sizes, None for unknown ones."),
    "squeeze": (lambda x, axis: ops.squeeze(x, axis), "An axis of size 1 left out."),
    "stack": (lambda x, axis=0: ops.stack(x, axis), "Join along a new axis."),
    "tile": (lambda x, n: ops.tile(x, n), "x repeated as a whole."),
    "to_dense": (lambda tensor: tensor, "The tensor itself: there are no sparse ones here."),
    "transpose": (lambda x: ops.transpose(x), "The axes reversed."),
    # made from nothing
    "arange": (
        lambda start, stop=None, step=1, dtype="int32": ops.arange(start, stop, step, dtype),
        "start, start + step, …",
    ),
    "eye": (
        lambda size, dtype=None, name=None: variable(np.eye(size), dtype, name),
        "A variable: the identity matrix.",
    ),
    "ones": (lambda shape, dtype=None, name=None: variable(np.ones(shape), dtype, name), "A variable of ones."),
    "ones_like": (lambda x, dtype=None, name=None: ops.ones_like(x, dtype), "Ones in the shape of x."),
    "zeros": (lambda shape, dtype=None, name=None: variable(np.zeros(shape), dtype, name), "A variable of zeros."),
    "zeros_like": (lambda x, dtype=None, name=None: ops.zeros_like(x, dtype), "Zeros in the shape of x."),
    "random_bernoulli": (
        lambda shape, p=0.0, dtype=None, seed=None: _bernoulli(shape, p, dtype, seed),
        "1 with probability p, else 0.",
    ),
    "random_binomial": (
        lambda shape, p=0.0, dtype=None, seed=None: _bernoulli(shape, p, dtype, seed),
        "1 with probability p, else 0.",
    ),
    "random_normal": (
        lambda shape, mean=0.0, stddev=1.0, dtype=None, seed=None: random.normal(shape, mean, stddev, dtype, seed),
        "Draw from the normal distribution.",
    ),
    "random_normal_variable": (
        lambda shape, mean, scale, dtype=None, name=None, seed=None: variable(
            random.normal(shape, mean, scale, dtype, seed), dtype, name
        ),
        "A variable drawn from the normal distribution.",
    ),
    "random_uniform": (
        lambda shape, minval=0.0, maxval=1.0, dtype=None, seed=None: random.uniform(shape, minval, maxval, dtype, seed),
        "Draw evenly from an interval.",
    ),
    "random_uniform_variable": (
        lambda shape, low, high, dtype=None, name=None, seed=None: variable(
            random.uniform(shape, low, high, dtype, seed), dtype, name
        ),
        "A variable drawn evenly from an interval.",
    ),
    "truncated_normal": (
        lambda shape, mean=0.0, stddev=1.0, dtype=None, seed=None: random.truncated_normal(
            shape, mean, stddev, dtype, seed
        ),
        "Draw from the normal distribution, at most two standard deviations from its mean.",
    ),
    # variables
    "batch_get_value": (lambda tensors: [get_value(x) for x in tensors], "The numbers of several variables."),
    "stop_gradient": (lambda variables: _stopped(variables), "The same numbers, through which no gradient flows."),
    "update_add": (lambda x, increment: update(x, ops.add(x, increment)), "Add to a variable."),
    "update_sub": (lambda x, decrement: update(x, ops.subtract(x, decrement)), "Subtract from a variable."),
    "print_tensor": (lambda x, message="", summarize=3: _show(x, message), "x, printed whenever it is computed."),
    # products
    "dot": (lambda x, y: ops.dot(x, y), "Σ over the last axis of x and the last but one of y."),
    # images and sequences
    "bias_add": (lambda x, bias, data_format=None: f.bias_add(x, bias, data_format), "x plus a bias per channel."),
    "conv2d": (
        lambda x, kernel, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1): ops.conv(
            x, kernel, strides, padding, data_format, dilation_rate
        ),
        "Convolve images.",
    ),
    "conv3d": (
        lambda x, kernel, strides=(1, 1, 1), padding="valid", data_format=None, dilation_rate=(1, 1, 1): ops.conv(
            x, kernel, strides, padding, data_format, dilation_rate
        ),
        "Convolve volumes.",
    ),
    "depthwise_conv2d": (
        lambda x, depthwise_kernel, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1): (
            ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)
        ),
        "Convolve each channel by itself.",
    ),
    "local_conv1d": (
        lambda inputs, kernel, kernel_size, strides, data_format=None: _local(
            inputs, kernel, kernel_size, strides, data_format
        ),
        "Convolve with another kernel at each step.",
    ),
    "local_conv2d": (
        lambda inputs, kernel, kernel_size, strides, output_shape, data_format=None: _local(
            inputs, kernel, kernel_size, strides, data_format
        ),
        "Convolve with another kernel at each pixel.",
    ),
    "pool2d": (
        lambda x, pool_size, strides=(1, 1), padding="valid", data_format=None, pool_mode="max": f.pool(
            x, pool_size, strides, padding, data_format, pool_mode
        ),
        'The maximum ("max") or mean ("avg") of windows of images.',
    ),
    "pool3d": (
        lambda x, pool_size, strides=(1, 1, 1), padding="valid", data_format=None, pool_mode="max": f.pool(
            x, pool_size, strides, padding, data_format, pool_mode
        ),
        'The maximum ("max") or mean ("avg") of windows of volumes.',
    ),
    "resize_images": (
        lambda x, height_factor, width_factor, data_format, interpolation="nearest": f.resized(
            x, (height_factor, width_factor), data_format, interpolation
        ),
        "Images larger by whole factors.",
    ),
    "resize_volumes": (
        lambda x, depth_factor, height_factor, width_factor, data_format: f.resized(
            x, (depth_factor, height_factor, width_factor), data_format
        ),
        "Volumes larger by whole factors.",
    ),
    "spatial_2d_padding": (
        lambda x, padding=((1, 1), (1, 1)), data_format=None: f.spatial_padding(x, padding, data_format),
        "Images with zeros around.",
    ),
    "spatial_3d_padding": (
        lambda x, padding=((1, 1), (1, 1), (1, 1)), data_format=None: f.spatial_padding(x, padding, data_format),
        "Volumes with zeros around.",
    ),
    "temporal_padding": (
        lambda x, padding=(1, 1): ops.pad(x, ((0, 0), tuple(padding), (0, 0))),
        "Sequences with zeros before and after.",
    ),
    # training
    "batch_normalization": (
        lambda x, mean, var, beta, gamma, axis=-1, epsilon=0.001: _standardized(x, mean, var, beta, gamma, epsilon),
        "(x − mean)/√(var + ε)·gamma + beta.",
    ),
    "normalize_batch_in_training": (
        lambda x, gamma, beta, reduction_axes, epsilon=0.001: f.normalized(x, gamma, beta, reduction_axes, epsilon),
        "x normalized with its own mean and variance, and those.",
    ),
    "dropout": (
        lambda x, level, noise_shape=None, seed=None: _drop(x, level, noise_shape, seed),
        "A fraction of the elements set to 0, the others enlarged.",
    ),
    "in_top_k": (
        lambda predictions, targets, k: ops.in_top_k(targets, predictions, k),
        "Whether targets are among the k best.",
    ),
    "binary_crossentropy": (
        lambda target, output, from_logits=False: f.binary_crossentropy(target, output, from_logits),
        "−(t·ln p + (1 − t)·ln(1 − p)).",
    ),
    "binary_focal_crossentropy": (
        lambda target, output, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False: f.binary_focal(
            target, output, apply_class_balancing, alpha, gamma, from_logits
        ),
        "Crossentropy weighted by (1 − pₜ)^γ.",
    ),
    "categorical_crossentropy": (
        lambda target, output, from_logits=False, axis=-1: ops.categorical_crossentropy(
            target, output, from_logits, axis
        ),
        "−Σ t·ln p over the classes.",
    ),
    "categorical_focal_crossentropy": (
        lambda target, output, alpha=0.25, gamma=2.0, from_logits=False, axis=-1: f.categorical_focal(
            target, output, alpha, gamma, from_logits, axis
        ),
        "Crossentropy weighted by α(1 − p)^γ.",
    ),
    "sparse_categorical_crossentropy": (
        lambda target, output, from_logits=False, axis=-1, ignore_class=None: f.sparse_crossentropy(
            target, output, from_logits, axis, ignore_class
        ),
        "−ln p of the class given by its number.",
    ),
    "ctc_batch_cost": (
        lambda y_true, y_pred, input_length, label_length: f.ctc_cost(y_true, y_pred, input_length, label_length),
        "The loss of unaligned labels, (N, 1); the last class is none.",
    ),
    "ctc_decode": (
        lambda y_pred, input_length, greedy=True, beam_width=100, top_paths=1: f.ctc_decode(
            y_pred, input_length, greedy, beam_width, top_paths
        ),
        "Read labels off probabilities: a list of labels (N, steps), and their scores.",
    ),
    "ctc_label_dense_to_sparse": (
        lambda labels, label_lengths: _refuse_sparse("ctc_label_dense_to_sparse"),
        "Refuse: there are no sparse tensors.",
    ),
    # loops
    "foldl": (
        lambda fn, elems, initializer=None, name=None: op(f.fold)(fn, elems, initializer, False),
        "fn(…fn(fn(initializer, x₀), x₁)…, xₙ).",
    ),
    "foldr": (
        lambda fn, elems, initializer=None, name=None: op(f.fold)(fn, elems, initializer, True),
        "As foldl, from the last element on.",
    ),
    "map_fn": (lambda fn, elems, name=None, dtype=None: op(f.map_rows)(fn, elems), "fn of each row, stacked."),
}


def _clip(x: Any, low: Any, high: Any) -> Any:
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    crossed = isinstance(low, (int, float)) and isinstance(high, (int, float)) and high < low
    return ops.clip(x, low, low if crossed else high)


def _relu(x: Any, alpha: Any, max_value: Any, threshold: Any) -> Any:
    x = f.given(x)
    y = ops.relu(x) if not threshold else x * ops.cast(x > threshold, ops.dtype(x))
    y = y if max_value is None else ops.clip(y, 0, max_value)
    return y - alpha * ops.relu(threshold - x) if isinstance(alpha, torch.Tensor) or alpha else y


def _l2_normalize(x: Any, axis: Any) -> Any:
    return f.given(x) * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-12))


def _to_floatx(x: Any) -> Any:
    return ops.cast(x, floatx()) if hasattr(x, "__torch_function__") else np.asarray(x, floatx())


def _bernoulli(shape: Any, p: float, dtype: Any, seed: Any) -> Any:
    return ops.cast(random.uniform(shape, seed=seed) < p, dtype or floatx())


def _stopped(variables: Any) -> Any:
    several = isinstance(variables, (list, tuple))
    return [ops.stop_gradient(x) for x in variables] if several else ops.stop_gradient(variables)


def _standardized(x: Any, mean: Any, var: Any, beta: Any, gamma: Any, epsilon: float) -> Any:
    scaled = (f.given(x) - mean) * ops.rsqrt(f.given(var) + epsilon)
    scaled = scaled if gamma is None else scaled * gamma
    return scaled if beta is None else scaled + beta


def _refuse_sparse(who: str) -> Any:
    raise NotImplementedError(explain(who, "a call", "dense tensors", "Sparse tensors are not supported."))


for _name, (_function, _doc) in _ROWS.items():
    _function.__name__ = _function.__qualname__ = _name
    _function.__doc__ = _doc
    globals()[_name] = _function


def __getattr__(name: str) -> Any:
    raise AttributeError(explain("keras.backend", repr(name), "a known function", nearest(name, __all__)))


__all__ = [
    "backend",
    "batch_dot",
    "batch_set_value",
    "clear_session",
    "constant",
    "conv1d",
    "conv2d_transpose",
    "count_params",
    "epsilon",
    "floatx",
    "function",
    "get_uid",
    "get_value",
    "gradients",
    "image_data_format",
    "in_test_phase",
    "in_train_phase",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "learning_phase",
    "learning_phase_scope",
    "manual_variable_initialization",
    "moving_average_update",
    "name_scope",
    "placeholder",
    "reset_uids",
    "result_type",
    "rnn",
    "separable_conv2d",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_learning_phase",
    "set_value",
    "standardize_dtype",
    "switch",
    "update",
    "variable",
]
__all__ += list(_ROWS)
__all__.sort()
