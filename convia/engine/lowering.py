"""Lowering: a graph of layers becomes a plan for the engine, or the reason why it cannot."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convia import activations, layers, layout
from convia.engine.plan import ACTS, IN_PLACE, JOINS, Parameter, Plan, Unsupported, canonical_numbers
from convia.graph import Graph
from convia.regularizers import L1, L1L2, L2

_ACTIVATIONS: dict[Any, tuple[str, float]] = {
    activations.linear: ("linear", 0.0),
    activations.relu: ("relu", 0.0),
    activations.leaky_relu: ("leaky_relu", 0.2),
    activations.elu: ("elu", 1.0),
    activations.selu: ("selu", 0.0),
    activations.tanh: ("tanh", 0.0),
    activations.sigmoid: ("sigmoid", 0.0),
    activations.softplus: ("softplus", 0.0),
    activations.exponential: ("exponential", 0.0),
    activations.relu6: ("relu6", 0.0),
    activations.hard_sigmoid: ("hard_sigmoid", 0.0),
    activations.hard_tanh: ("hard_tanh", 0.0),
    activations.softsign: ("softsign", 0.0),
    activations.silu: ("silu", 0.0),
    activations.gelu: ("gelu", 0.0),
    activations.mish: ("mish", 0.0),
    activations.hard_silu: ("hard_silu", 0.0),
    activations.softmax: ("softmax", 0.0),
}


class Lowering:
    """One run over a graph. ``plan`` is the result.

    Args:
        graph: the model's.
        learned: the variables that learn.

    Raises:
        Unsupported: a layer, or a way of using it, that the engine does not know.
    """

    def __init__(self, graph: Graph, learned: list[Any]) -> None:
        self.plan = Plan()
        self._learned = {id(variable) for variable in learned}
        self._parameters: dict[int, int] = {}
        for tensor in graph.inputs:
            if tensor.dtype != "float32":
                raise Unsupported(f"input {tensor.name!r} of type {tensor.dtype} is not supported by the engine")
            self.plan.inputs.append(self.plan.tensor(_known(tensor.shape, f"input {tensor.name!r}")))
        self._ends = {id(tensor) for tensor in graph.outputs}
        self.plan.outputs = self.run(graph, self.plan.inputs)

    def run(self, graph: Graph, inputs: list[int]) -> list[int]:
        """Lower the calls of a graph on given tensors; return its outputs."""
        values = {id(tensor): number for tensor, number in zip(graph.inputs, inputs, strict=True)}
        for step in graph.steps:
            node, layer = step.node, step.operation
            inner = getattr(layer, "graph", None)
            ins = [values[id(tensor)] for tensor in node.inputs]
            if isinstance(inner, Graph) and type(layer).__module__.startswith("convia.models"):
                outs = self.run(inner, ins)
            else:
                outs = [self.layer(layer, node, ins)]
            values |= {id(tensor): number for tensor, number in zip(node.outputs, outs, strict=True)}
        return [values[id(tensor)] for tensor in graph.outputs]

    def layer(self, layer: Any, node: Any, ins: list[int]) -> int:
        """Lower the call of one layer; return the number of its output."""
        who = f"layer {layer.name!r} ({type(layer).__name__})"
        rule = RULES.get(type(layer))
        plain = not node.kwargs and len(node.args) == 1 and len(node.outputs) == 1
        if rule is None or not plain:
            raise Unsupported(
                f"{who} is not supported by the engine" + ("" if rule is None else " with such arguments")
            )
        if layer.compute_dtype != "float32" or layer.variable_dtype != "float32":
            raise Unsupported(f"{who} computes in {layer.compute_dtype}, the engine in float32")
        if getattr(layer, "activity_regularizer", None) is not None:
            raise Unsupported(f"{who} has an activity_regularizer, which the engine does not know")
        if getattr(layer, "lora_enabled", False):
            raise Unsupported(f"{who} has adapters (enable_lora), which the engine does not know")
        if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
            raise Unsupported(f"{who} has hooks, which the engine does not call")
        shape = _known(node.outputs[0].shape, who)
        self.ends_here = id(node.outputs[0]) in self._ends
        try:
            return rule(self, layer, ins, shape)
        except Unsupported as error:
            raise Unsupported(f"{who}: {error}, which the engine does not know") from None

    def parameter(self, tensor: Any, order: tuple[int, ...] | None = None) -> int:
        """Return the number of a weight; its memory must run in the given order of axes."""
        if tensor is None:
            return -1
        if id(tensor) in self._parameters:
            return self._parameters[id(tensor)]
        data = tensor.detach()
        view = data if order is None else data.permute(order)
        if data.dtype is not torch.float32 or data.device.type != "cpu" or not view.is_contiguous():
            raise Unsupported("weights of another type, order or device")
        learns = id(tensor) in self._learned
        self.plan.parameters.append(Parameter(tensor, learns, *(_penalty(tensor) if learns else (0.0, 0.0))))
        if learns and getattr(tensor, "constraint", None) is not None:
            raise Unsupported("a constraint")
        self._parameters[id(tensor)] = len(self.plan.parameters) - 1
        return self._parameters[id(tensor)]

    def constant(self, value: Any, size: int) -> int:
        """Return the number of a parameter that never changes."""
        data = torch.as_tensor(value, dtype=torch.float32).expand(size).contiguous()
        self.plan.parameters.append(Parameter(data, False))
        return len(self.plan.parameters) - 1

    def activation(self, function: Any) -> tuple[str, float]:
        """Return the engine's name of an activation function and its argument."""
        try:
            return _ACTIVATIONS[function]
        except (KeyError, TypeError):
            raise Unsupported(f"the activation {getattr(function, '__name__', function)!r}") from None

    def activated(self, name: str, alpha: float, source: int) -> int:
        """Add an activation as a step of its own."""
        if name == "linear":
            return source
        out = self.plan.tensor(self.plan.shapes[source])
        if name == "softmax":
            self.plan.step("softmax", [source], out)
        else:
            self.plan.step("unary", [source], out, act=ACTS.index(name), alpha=alpha)
        return out

    def convolution(
        self,
        layer: Any,
        source: int,
        shape: tuple[int, ...],
        kernel: int,
        bias: int,
        groups: int,
        activation: Any,
        spatial: Any,
    ) -> int:
        """Add a convolution and its activation, which is done in place where its derivative allows and nobody looks."""
        name, alpha = self.activation(activation)
        inside = name in IN_PLACE and not self.ends_here
        windows, sides = spatial
        size, strides, dilation = (_three([window[i] for window in windows], 1) for i in range(3))
        before = _three([side[0] for side in sides], 0)
        spans = zip(_sizes(shape), strides, size, dilation, _sizes(self.plan.shapes[source]), before, strict=True)
        after = [max((n - 1) * s + (k - 1) * d + 1 - w - p, 0) for n, s, k, d, w, p in spans]
        self.plan.widen(source, before, after)
        out = self.plan.tensor(shape)
        self.plan.step(
            "conv",
            [source],
            out,
            params=[kernel, bias],
            groups=groups,
            kernel=size,
            strides=strides,
            dilation=dilation,
            pad=before,
            act=ACTS.index(name) if inside else 0,
            alpha=alpha,
        )
        return out if inside else self.activated(name, alpha, out)


def _known(shape: Any, who: str) -> tuple[int, ...]:
    sizes = tuple(shape[1:])
    if None in sizes or not 1 <= len(sizes) <= 4:
        raise Unsupported(f"{who} has shape {tuple(shape)}, the engine needs 1 to 4 known sizes beside the batch")
    return sizes


def _three(values: Any, filler: int) -> list[int]:
    return [*[filler] * (3 - len(values)), *map(int, values)]


def _sizes(shape: tuple[int, ...]) -> list[int]:
    return _three(shape[:-1], 1)


def _penalty(variable: Any) -> tuple[float, float]:
    regularizer = getattr(variable, "regularizer", None)
    if regularizer is None:
        return 0.0, 0.0
    if type(regularizer) not in (L1, L2, L1L2):
        raise Unsupported(f"the regularizer {type(regularizer).__name__}")
    return float(getattr(regularizer, "l1", 0.0)), float(getattr(regularizer, "l2", 0.0))


def _require_channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise Unsupported("data_format='channels_first'")


def _geometry(layer: Any, shape: tuple[int, ...]) -> Any:
    _require_channels_last(layer)
    windows = list(zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True))
    return windows, [table[size % len(table)] for table, size in zip(layer._sides, shape[:-1], strict=True)]


def _conv(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    kernel, bias = to.parameter(layer.kernel, layer._order), to.parameter(layer.bias)
    spatial = _geometry(layer, to.plan.shapes[ins[0]])
    return to.convolution(layer, ins[0], shape, kernel, bias, layer.groups, layer.activation, spatial)


def _depthwise(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    kernel, bias = to.parameter(layer.kernel, layer._depthwise_order), to.parameter(layer.bias)
    spatial = _geometry(layer, to.plan.shapes[ins[0]])
    return to.convolution(layer, ins[0], shape, kernel, bias, layer._groups, layer.activation, spatial)


def _separable(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    first = to.parameter(layer.depthwise_kernel, layer._depthwise_order)
    second, bias = to.parameter(layer.pointwise_kernel, layer._order), to.parameter(layer.bias)
    spatial = _geometry(layer, to.plan.shapes[ins[0]])
    middle = (*shape[:-1], layer._groups * layer.depth_multiplier)
    between = to.convolution(layer, ins[0], middle, first, -1, layer._groups, activations.linear, spatial)
    point = [(1, 1, 1)] * layer.rank, [(0, 0)] * layer.rank
    return to.convolution(layer, between, shape, second, bias, 1, layer.activation, point)


def _dense(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    kernel, bias = to.parameter(layer.kernel, (1, 0)), to.parameter(layer.bias)
    rank = len(shape) - 1
    point = [(1, 1, 1)] * rank, [(0, 0)] * rank
    return to.convolution(layer, ins[0], shape, kernel, bias, 1, layer.activation, point)


def _pool(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    _require_channels_last(layer)
    source = to.plan.shapes[ins[0]]
    same = layer.padding == "same"
    windows = zip(source[:-1], layer.pool_size, layer.strides, strict=True)
    before = [layout.same_padding(size, k, s)[0] if same else 0 for size, k, s in windows]
    return _pooled(to, layer, ins[0], shape, layer.pool_size, layer.strides, before)


def _pooled(
    to: Lowering, layer: Any, source: int, shape: tuple[int, ...], window: Any, strides: Any, before: Any
) -> int:
    kind = "pool_max" if "Max" in type(layer).__name__ else "pool_average"
    out = to.plan.tensor(shape)
    to.plan.step(kind, [source], out, kernel=_three(window, 1), strides=_three(strides, 1), pad=_three(before, 0))
    return out


def _global_pool(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    _require_channels_last(layer)
    window = to.plan.shapes[ins[0]][:-1]
    return _pooled(to, layer, ins[0], shape, window, window, [0] * layer.rank)


def _move(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    """Any layer that only moves elements: it is run on their numbers; what it pads with is 0."""
    source = to.plan.shapes[ins[0]]
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise Unsupported(f"interpolation={layer.interpolation!r}")
    count = int(np.prod(source))
    numbers = torch.arange(1, count + 1, dtype=torch.float64).reshape(1, *source)
    moved = layer.call(numbers).reshape(-1).long().numpy() - 1
    out = to.plan.tensor(shape)
    _copy(to, ins[0], out, moved[moved >= 0], np.flatnonzero(moved >= 0))
    return out


def _copy(to: Lowering, source: int, out: int, from_: np.ndarray, places: np.ndarray) -> None:
    """Copy elements, numbered as the user sees them."""
    count = int(np.prod(to.plan.shapes[source]))
    once = len(from_) == count and len(np.unique(from_)) == count
    numbers = canonical_numbers(to.plan.shapes[source])[from_], canonical_numbers(to.plan.shapes[out])[places]
    to.plan.step("copy", [source], out, **{"from": numbers[0].tolist(), "to": numbers[1].tolist()}, covers=once)


def _concatenate(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    if layer.axis == 0:
        raise Unsupported("axis=0")
    axis = layer.axis - 1 if layer.axis > 0 else layer.axis
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    ends = np.cumsum([to.plan.shapes[source][axis] for source in ins])
    out = to.plan.tensor(shape)
    for source, part in zip(ins, np.split(places, ends[:-1], axis), strict=True):
        _copy(to, source, out, np.arange(part.size), part.ravel())
    return out


def _join(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    kind = type(layer).__name__.lower()
    if any(to.plan.shapes[source] != shape for source in ins) or len(ins) < 2:
        raise Unsupported("inputs of different shapes" if len(ins) > 1 else "a single input")
    if kind in ("maximum", "minimum") and len(ins) > 2:
        raise Unsupported("more than two inputs")
    out = to.plan.tensor(shape)
    to.plan.step("join", ins, out, join=JOINS.index(kind))
    return out


def _dropout(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    if getattr(layer, "noise_shape", None) is not None:
        raise Unsupported("a noise_shape")
    _require_channels_last(layer)
    if not layer.rate:
        return ins[0]
    out = to.plan.tensor(shape)
    whole = type(layer).__name__.startswith("Spatial")
    to.plan.step("dropout", [ins[0]], out, rate=layer.rate, key=len(to.plan.random_layers), per_channel=whole)
    to.plan.random_layers.append(layer)
    return out


def _batch_norm(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    if layer.axis not in (-1, len(shape)) or layer.renorm:
        raise Unsupported("renorm" if layer.renorm else f"axis={layer.axis}")
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    details = {
        "params": [to.parameter(weight) for weight in weights],
        "epsilon": layer.epsilon,
        "momentum": layer.momentum,
    }
    out = to.plan.tensor(shape)
    if layer.trainable:
        to.plan.step("norm_stats", [ins[0]])
    to.plan.step("norm_batch" if layer.trainable else "norm_frozen", [ins[0]], out, **details)
    return out


def _rescaling(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    if not all(isinstance(value, (int, float)) for value in (layer.scale, layer.offset)):
        raise Unsupported("a scale or offset per channel")
    out = to.plan.tensor(shape)
    params = [to.constant(value, shape[-1]) for value in (layer.scale, layer.offset, 0.0, 1.0)]
    to.plan.step("norm_frozen", [ins[0]], out, params=params)
    return out


def _activation(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    return to.activated(*to.activation(layer.activation), ins[0])


def _relu(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    slope, most = float(layer.negative_slope), getattr(layer, "max_value", None)
    if getattr(layer, "threshold", 0.0) or most not in (None, 6) or (most and slope):
        raise Unsupported("such a max_value, negative_slope or threshold")
    return to.activated("relu6" if most else "leaky_relu" if slope else "relu", slope, ins[0])


def _elu(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    return to.activated("elu", float(layer.alpha), ins[0])


def _softmax(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    if layer.axis not in (-1, len(shape)):
        raise Unsupported(f"axis={layer.axis}")
    return to.activated("softmax", 0.0, ins[0])


def _identity(to: Lowering, layer: Any, ins: list[int], shape: tuple[int, ...]) -> int:
    return ins[0]


Rule = Callable[[Lowering, Any, list[int], tuple[int, ...]], int]
_BY_NAME: dict[Rule, str] = {
    _conv: "Conv1D Conv2D Conv3D",
    _depthwise: "DepthwiseConv1D DepthwiseConv2D",
    _separable: "SeparableConv1D SeparableConv2D",
    _dense: "Dense",
    _pool: "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D",
    _global_pool: "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D",
    _move: "Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D "
    "Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D",
    _concatenate: "Concatenate",
    _join: "Add Subtract Multiply Average Maximum Minimum",
    _dropout: "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D",
    _batch_norm: "BatchNormalization",
    _rescaling: "Rescaling",
    _activation: "Activation",
    _relu: "ReLU LeakyReLU",
    _elu: "ELU",
    _softmax: "Softmax",
    _identity: "Identity",
}
RULES: dict[type, Rule] = {getattr(layers, name): rule for rule, names in _BY_NAME.items() for name in names.split()}


def lower(graph: Graph, learned: list[Any]) -> Plan:
    """Return the plan of a graph; raises Unsupported, which says why, where the engine cannot run it."""
    return Lowering(graph, learned).plan
