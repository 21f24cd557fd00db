"""Layers that only some published networks have; their classes lie floors above and go by their names."""

from typing import Any

import numpy as np

from convia import activations
from convia.engine.builder import Builder, Rule
from convia.engine.functions import Activation
from convia.engine.plan import Shape, Unsupported
from convia.engine.rules.convolution import convolution, point


def _layer_scale(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params = [to.parameter(layer.gamma), -1, to.constant(0.0, shape[-1]), to.constant(1.0, shape[-1])]
    return to.add("norm_frozen", ins, shape, params=params)


def _scaled_sum(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.joined("add", [ins[0], to.affine(ins[1], layer.scale, 0.0)])


def _local_response(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """x·exp(−β·ln(k + α·Σ x²)); the sums over neighbours are a product with a matrix of bands."""
    if ins[0] in to.first:
        raise Unsupported("channels first")
    channels, rank = shape[-1], len(shape) - 1
    apart = np.arange(channels) - np.arange(channels)[:, None]  # (sums, channels)
    near = (-(layer.size // 2) <= apart) & (apart <= (layer.size - 1) // 2)
    params = [to.constant(layer.alpha * near.ravel(), near.size), to.constant(layer.bias, channels)]
    squares = to.activated(Activation("square"), ins[0])
    sums = convolution(to, squares, shape, params, 1, activations.linear, point(rank))
    exponents = to.affine(to.activated(Activation("logarithm"), sums), -layer.beta, 0.0)
    return to.joined("multiply", [ins[0], to.activated(Activation("exponential"), exponents)])


def _table(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """Each connection filters a channel by itself; then those of a filter are added up."""
    if layer.bias_per_position:
        raise Unsupported("a bias of each position")
    filters, channels = (place.numpy() for place in layer._places)
    seen = (*to.shape(ins[0])[:-1], len(channels))
    (source,) = to.move(lambda x: x[..., layer._places[1]], ins, [seen])
    sides = [tuple(layer._sides[2:]), tuple(layer._sides[:2])]
    windows = [(layer.kernel_size, layer.strides, 1)] * 2
    kernel, count = to.parameter(layer.kernel), len(channels)
    filtered = convolution(to, source, (*shape[:-1], count), [kernel, -1], count, activations.linear, (windows, sides))
    belongs = (np.arange(shape[-1])[:, None] == filters).ravel()
    params = [to.constant(belongs, belongs.size), to.parameter(layer.bias)]
    return convolution(to, filtered, shape, params, 1, layer._function, point(2))


RULES: dict[str, Rule] = {
    "convia.applications.convnext.LayerScale": _layer_scale,
    "convia.applications.history.LocalResponseNormalization": _local_response,
    "convia.applications.history.TableConv2D": _table,
    "convia.applications.inception_resnet_v2.CustomScaleLayer": _scaled_sum,
}
