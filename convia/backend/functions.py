"""Functions of the backend that are more than a call of ``convia.ops``."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import config, ops, symbolic, tree
from convia.config import epsilon
from convia.errors import explain
from convia.ops.door import tensor
from convia.symbolic import KerasTensor, tracing


def given(x: Any) -> Any:
    """Make a tensor of what is not one; symbolic tensors stay."""
    return x if isinstance(x, KerasTensor) else tensor(x)


def _called(value: Any) -> Any:
    return value() if callable(value) and not isinstance(value, (Tensor, KerasTensor)) else value


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Choose between two tensors (or functions that make them), for the whole or for each element.

    Raises:
        ValueError: the condition has more axes than the tensors.
    """
    if not ops.ndim(condition) and not isinstance(condition, KerasTensor):
        return _called(then_expression if bool(condition) else else_expression)
    one, other = _called(then_expression), _called(else_expression)
    missing = ops.ndim(one) - ops.ndim(condition)
    if missing < 0 and ops.ndim(condition):
        received = f"a condition of {ops.ndim(condition)} axes for tensors of {ops.ndim(one)}"
        raise ValueError(explain("switch", received, "no more axes than the tensors have"))
    if missing > 0 and ops.ndim(condition):
        condition = ops.expand_dims(condition, tuple(range(-missing, 0)))
    return ops.where(condition, one, other)


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Multiply sample by sample: Σ over one axis of x and one of y; by default the last of x, the last but one of y.

    Raises:
        ValueError: fewer than two axes, the axis of the batch, more than one axis each.
    """
    ranks = ops.ndim(x), ops.ndim(y)
    if axes is None:
        axes = (ranks[0] - 1, ranks[1] - (1 if ranks[1] == 2 else 2))
    pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
    if min(ranks) < 2 or len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        received = f"tensors of {ranks[0]} and {ranks[1]} axes, axes={axes}"
        raise ValueError(explain("batch_dot", received, "at least two axes each, and one of each to sum over"))
    first, second = (axis % rank for axis, rank in zip(pair, ranks, strict=True))
    if 0 in (first, second):
        raise ValueError(explain("batch_dot", f"axes={axes}", "another axis than the batch's", "Use K.dot."))
    names = "abcdefghijklmnopqrstuvwxyz"
    left = names[: ranks[0]]
    right = [left[0], *names[ranks[0] : sum(ranks) - 1]]
    right[second] = left[first]
    kept = [name for name in (*left, *right[1:]) if name != left[first]]
    result = ops.einsum(f"{left},{''.join(right)}->{''.join(kept)}", x, y)
    return ops.expand_dims(result, -1) if len(kept) == 1 else result


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def conv1d(
    x: Any,
    kernel: Any,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Any:
    """Convolve sequences; with "causal" padding no output depends on later steps."""
    if padding == "causal":
        before = ((0, 0), (dilation_rate * (kernel.shape[0] - 1), 0), (0, 0))
        first = config.standardize_data_format(data_format) == "channels_first"
        x, padding = ops.pad(x, (before[0], before[2], before[1]) if first else before), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d_transpose(
    x: Any,
    kernel: Any,
    output_shape: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """Spread each pixel over a window, to images of a given shape."""
    first = config.standardize_data_format(data_format) == "channels_first"
    wanted, sizes = (tuple(shape)[2:] if first else tuple(shape)[1:3] for shape in (output_shape, x.shape))
    steps, gaps = _tuple(strides, 2), _tuple(dilation_rate, 2)
    extra: Any = None
    if all(size is not None for size in (*wanted, *sizes)):
        spans = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], gaps, strict=True)]
        base = [k % 2 if padding == "same" else k for k in spans]
        extra = tuple(w - (n - 1) * s - b for w, n, s, b in zip(wanted, sizes, steps, base, strict=True))
    return ops.conv_transpose(x, kernel, steps, padding, extra, data_format, gaps)


def separable_conv2d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """Convolve each channel by itself, then mix the channels."""
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate)


def pool(x: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None, pool_mode: str) -> Any:
    functions = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in functions:
        raise ValueError(explain("pool, argument 'pool_mode'", repr(pool_mode), f"one of {list(functions)}"))
    return functions[pool_mode](x, pool_size, strides, padding, data_format)


@symbolic.op
def local_conv(x: Any, kernel: Any, sizes: Any, strides: Any, data_format: str | None) -> Any:
    """Convolve with another kernel at each place: kernel (places, window·channels, filters)."""
    first = config.standardize_data_format(data_format) == "channels_first"
    x = tensor(x) if not first else tensor(x).movedim(1, -1)
    rank = len(sizes)
    for axis, (size, step) in enumerate(zip(sizes, strides, strict=True)):
        x = x.unfold(axis + 1, size, step)  # (N, places…, C, window…)
    x = x.movedim(rank + 1, -1)  # (N, places…, window…, C)
    places = x.shape[1 : rank + 1]
    windows = x.reshape(x.shape[0], math.prod(places), -1)
    result = torch.einsum("npw,pwf->npf", windows, tensor(kernel)).reshape(x.shape[0], *places, -1)
    return result.movedim(-1, 1) if first else result


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    rank = ops.ndim(bias)
    if rank not in (1, ops.ndim(x) - 1):
        received = f"a bias of {rank} axes for a tensor of {ops.ndim(x)}"
        raise ValueError(explain("bias_add", received, f"1 or {ops.ndim(x) - 1}"))
    if config.standardize_data_format(data_format) == "channels_first":
        shape = [-1, *bias.shape[:-1]] if rank > 1 else [-1] + [1] * (ops.ndim(x) - 2)
        bias = ops.reshape(ops.moveaxis(bias, -1, 0), shape)
    return ops.add(x, bias)


def resized(x: Any, factors: tuple[int, ...], data_format: str, interpolation: str = "nearest") -> Any:
    first = 2 if data_format == "channels_first" else 1
    if interpolation != "nearest":
        size = [n * factor for n, factor in zip(x.shape[first : first + 2], factors, strict=True)]
        return ops.image.resize(x, size, interpolation, data_format=data_format)
    for axis, factor in enumerate(factors):
        x = ops.repeat(x, factor, axis + first)
    return x


def spatial_padding(x: Any, padding: Any, data_format: str | None) -> Any:
    inner = [tuple(pair) for pair in padding]
    first = config.standardize_data_format(data_format) == "channels_first"
    return ops.pad(x, [(0, 0), (0, 0), *inner] if first else [(0, 0), *inner, (0, 0)])


def fold(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any, backwards: bool) -> Any:
    items = tensor(elems).unbind(0)
    items = items[::-1] if backwards else items
    start, rest = (items[0], items[1:]) if initializer is None else (initializer, items)
    return functools.reduce(fn, rest, start)


def map_rows(fn: Callable[[Any], Any], elems: Any) -> Any:
    columns = [tensor(column) for column in tree.flatten(elems)]
    results = [
        fn(tree.pack(elems, list(items))) for items in zip(*(column.unbind(0) for column in columns), strict=True)
    ]
    return tree.map_structure(lambda *values: torch.stack(list(values)), *results)


def _clipped(output: Any) -> Any:
    return ops.clip(output, epsilon(), 1 - epsilon())


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    target, output = given(target), given(output)
    if from_logits:
        return ops.relu(output) - output * target + ops.log1p(ops.exp(-ops.absolute(output)))
    output = _clipped(output)
    return -(target * ops.log(output + epsilon()) + (1 - target) * ops.log(1 - output + epsilon()))


def binary_focal(target: Any, output: Any, balanced: bool, alpha: float, gamma: float, from_logits: bool) -> Any:
    target, p = given(target), ops.sigmoid(output) if from_logits else given(output)
    loss = (1 - (target * p + (1 - target) * (1 - p))) ** gamma * binary_crossentropy(target, output, from_logits)
    return (target * alpha + (1 - target) * (1 - alpha)) * loss if balanced else loss


def categorical_focal(target: Any, output: Any, alpha: float, gamma: float, from_logits: bool, axis: int) -> Any:
    target, p = given(target), ops.softmax(output, axis) if from_logits else given(output)
    p = _clipped(p / ops.sum(p, axis, keepdims=True))
    return ops.sum(alpha * (1 - p) ** gamma * -target * ops.log(p), axis)


def sparse_crossentropy(target: Any, output: Any, from_logits: bool, axis: int, ignore_class: int | None) -> Any:
    scores = output if from_logits else ops.log(_clipped(output))
    target = ops.cast(target, "int64")
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(target, scores, True, axis)
    if ops.ndim(target) == ops.ndim(scores):
        target = ops.squeeze(target, axis)
    kept = target != ignore_class
    loss = ops.sparse_categorical_crossentropy(ops.where(kept, target, 0), scores, True, axis)
    return ops.where(kept, loss, 0.0)


def ctc_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    y_pred = given(y_pred)
    lengths = (ops.squeeze(ops.cast(n, "int32"), -1) for n in (label_length, input_length))
    loss = ops.ctc_loss(
        ops.cast(y_true, "int32"), ops.log(y_pred + epsilon()), *lengths, mask_index=y_pred.shape[-1] - 1
    )
    return ops.expand_dims(loss, 1)


def ctc_decode(y_pred: Any, input_length: Any, greedy: bool, beam_width: int, top_paths: int) -> Any:
    strategy, blank = "greedy" if greedy else "beam_search", y_pred.shape[-1] - 1
    scores = ops.log(given(y_pred) + epsilon())
    paths, found = ops.ctc_decode(scores, input_length, strategy, beam_width, top_paths, True, blank)
    return ops.unstack(paths), found


def normalized(x: Any, gamma: Any, beta: Any, axes: Any, epsilon: float) -> Any:
    x = given(x)
    mean, variance = ops.moments(x, axes, keepdims=True)
    shape = tuple(mean.shape)
    scale = 1 if gamma is None else ops.reshape(gamma, shape)
    shift = 0 if beta is None else ops.reshape(beta, shape)
    result = (x - mean) * ops.rsqrt(variance + epsilon) * scale + shift
    return result, ops.squeeze(mean, axes), ops.squeeze(variance, axes)


def show(x: Any, message: str) -> Any:
    if not tracing():
        print(message, x)
    return x


def _where_kept(row: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(row.bool().reshape(-1, *[1] * (one.ndim - 1)), one, other)


def rnn(
    step_function: Callable[[Any, Any], Any],
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Any = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """Go through the steps of sequences (N, steps, …) with ``output, states = step_function(input, states)``.

    Args:
        mask: (N, steps); where it is False, states and output stay those of the step before.

    Returns:
        The last output, all outputs (N, steps, …), the last states.
    """

    def by_step(x: Any) -> Any:
        return tensor(x) if time_major else tensor(x).transpose(0, 1)

    series = tree.map_structure(by_step, inputs)
    steps = range(len(tree.flatten(series)[0]))
    kept = None if mask is None else by_step(mask)[..., 0] if ops.ndim(mask) == 3 else by_step(mask)
    states, output = list(initial_states), None
    outputs: list[Any] = []
    for number in reversed(steps) if go_backwards else steps:
        item = tree.map_structure(lambda x, n=number: x[n], series)
        new, new_states = step_function(item, [*states, *(constants or ())])
        if kept is not None:
            idle = torch.zeros_like(new) if zero_output_for_mask or output is None else output
            new = _where_kept(kept[number], new, idle)
            new_states = [_where_kept(kept[number], *pair) for pair in zip(new_states, states, strict=True)]
        output, states = new, list(new_states)
        outputs = [*outputs, output] if return_all_outputs else [output]
    return output, torch.stack(outputs, 0 if time_major else 1), states


def _extreme(function: Callable[..., Any], infinity: float) -> Callable[..., Any]:
    def extreme(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """The greatest, or the least, element; of no elements the infinity that loses against any."""
        x = tensor(x)
        return function(x, axis, keepdims, initial=None if x.numel() or not x.is_floating_point() else infinity)

    return symbolic.op(extreme)


greatest, least = _extreme(ops.max, -math.inf), _extreme(ops.min, math.inf)
