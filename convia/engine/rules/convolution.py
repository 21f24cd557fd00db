"""Convolutions and dense layers; the windows of pooling."""

from typing import Any

from convia import activations, layout
from convia.engine.builder import Builder, Rule, three
from convia.engine.functions import Activation
from convia.engine.plan import Shape
from convia.engine.rules import elements


def convolution(
    to: Builder, source: int, shape: Shape, params: list[int], groups: int, activation: Any, spatial: Any
) -> int:
    """Add a convolution; ``shape`` is before the activation, ``spatial`` windows (size, stride, dilation) and sides."""
    windows, sides = spatial
    size, strides, dilation = (three([window[i] for window in windows], 1) for i in range(3))
    before = three([side[0] for side in sides], 0)
    spans = zip(_sizes(shape), strides, size, dilation, _sizes(to.shape(source)), before, strict=True)
    after = [max((n - 1) * s + (k - 1) * d + 1 - w - p, 0) for n, s, k, d, w, p in spans]
    to.plan.widen(source, before, after)
    window = {"kernel": size, "strides": strides, "dilation": dilation, "pad": before}
    return _activated(
        to, activation, lambda act: to.add("conv", [source], shape, params=params, groups=groups, **window, **act)
    )


def _activated(to: Builder, activation: Any, make: Any) -> int:
    """Activate what ``make`` makes, with a function or with a layer."""
    rule = elements.RULES.get(type(activation).__name__)
    if rule is None:
        return to.activated_inside(to.activation(activation), make)
    out = to.activated_inside(Activation("linear"), make)
    return rule(to, activation, [out], to.shape(out))


def _sizes(shape: Shape) -> list[int]:
    return three(shape[:-1], 1)


def _geometry(to: Builder, layer: Any, source: int) -> Any:
    windows = list(zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True))
    sizes = to.shape(source)[:-1]
    return windows, to.around or [table[size % len(table)] for table, size in zip(layer._sides, sizes, strict=True)]


def point(rank: int) -> Any:
    return [(1, 1, 1)] * rank, [(0, 0)] * rank


def _conv(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params, shape = [to.parameter(layer.kernel, layer._order), to.parameter(layer.bias)], (*shape[:-1], layer.filters)
    return convolution(to, ins[0], shape, params, layer.groups, layer.activation, _geometry(to, layer, ins[0]))


def _depthwise(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params = [to.parameter(layer.kernel, layer._depthwise_order), to.parameter(layer.bias)]
    shape = (*shape[:-1], layer._groups * layer.depth_multiplier)
    return convolution(to, ins[0], shape, params, layer._groups, layer.activation, _geometry(to, layer, ins[0]))


def _separable(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    first = [to.parameter(layer.depthwise_kernel, layer._depthwise_order), -1]
    second = [to.parameter(layer.pointwise_kernel, layer._order), to.parameter(layer.bias)]
    spatial, middle = _geometry(to, layer, ins[0]), (*shape[:-1], layer._groups * layer.depth_multiplier)
    between = convolution(to, ins[0], middle, first, layer._groups, activations.linear, spatial)
    return convolution(to, between, (*shape[:-1], layer.filters), second, 1, layer.activation, point(layer.rank))


def _dense(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params = [to.parameter(layer.kernel, (1, 0)), to.parameter(layer.bias)]
    return convolution(to, ins[0], (*shape[:-1], layer.units), params, 1, layer.activation, point(len(shape) - 1))


def _transposed(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params = [to.parameter(layer.kernel, layer._order), to.parameter(layer.bias)]
    window = {
        "kernel": three(layer.kernel_size, 1),
        "strides": three(layer.strides, 1),
        "dilation": three(layer.dilation_rate, 1),
        "pad": three(layer._cut, 0),
    }
    shape = (*shape[:-1], layer.filters)
    return _activated(
        to, layer.activation, lambda act: to.add("conv_transpose", ins, shape, params=params, **window, **act)
    )


def _pool(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    windows = zip(to.shape(ins[0])[:-1], layer.pool_size, layer.strides, strict=True)
    same = layer.padding == "same"
    before = [layout.same_padding(size, k, s)[0] if same else 0 for size, k, s in windows]
    before = [side[0] for side in to.around] if to.around else before
    return _pooled(to, layer, ins, shape, layer.pool_size, layer.strides, before)


def _pooled(to: Builder, layer: Any, ins: list[int], shape: Shape, window: Any, strides: Any, before: Any) -> int:
    kind = "pool_max" if "Max" in type(layer).__name__ else "pool_average"
    return to.add(kind, ins, shape, kernel=three(window, 1), strides=three(strides, 1), pad=three(before, 0))


def _global_pool(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    window = to.shape(ins[0])[:-1]
    return _pooled(to, layer, ins, shape, window, window, [0] * layer.rank)


def slides_over(to: Builder, layer: Any, source: int, sides: list[tuple[int, int]], data_format: str) -> bool:
    """Return whether a layer's windows may begin and end in zeros around a tensor as if these were there.

    The engine leaves out what lies around: that is nothing to a sum, and to a maximum of numbers that are not negative.
    """
    rule = _RULES_BY_NAME.get(type(layer).__name__)
    if (
        rule not in (_conv, _depthwise, _separable, _pool)
        or layer.padding != "valid"
        or layer.data_format != data_format
    ):
        return False
    if rule is _pool:
        reach = [size - 1 for size in layer.pool_size]
        return "Max" in type(layer).__name__ and to.is_rectified(source) and _reaches(reach, sides)
    return _reaches([(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)], sides)


def _reaches(reach: list[int], sides: list[tuple[int, int]]) -> bool:
    return all(max(side) <= far for far, side in zip(reach, sides, strict=True))


RULES: dict[str, Rule] = {
    "Conv1D Conv2D Conv3D": _conv,
    "Conv1DTranspose Conv2DTranspose Conv3DTranspose": _transposed,
    "DepthwiseConv1D DepthwiseConv2D": _depthwise,
    "SeparableConv1D SeparableConv2D": _separable,
    "Dense": _dense,
    "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D": _pool,
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D": _global_pool,
}
_RULES_BY_NAME = {name: rule for names, rule in RULES.items() for name in names.split()}
