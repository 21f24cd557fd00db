"""Normalizations, of the batch and of each sample, and fixed scales."""

from typing import Any

import numpy as np

from convia import config
from convia.engine.builder import Builder, Rule
from convia.engine.plan import Shape, Unsupported


def _batch_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    if layer.renorm or not to.over_channels(layer.axis, ins[0]):
        raise Unsupported("renorm" if layer.renorm else f"axis={layer.axis}")
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    params = [to.parameter(weight) for weight in weights]
    learns = layer.trainable and not to.frozen
    if learns:
        to.plan.step("norm_stats", [ins[0]])
    kind = "norm_batch" if learns else "norm_frozen"
    return to.add(kind, ins, shape, params=params, epsilon=layer.epsilon, momentum=layer.momentum)


def _rescaling(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    source = ins[0]
    scale, offset = (np.asarray(value, np.float32) for value in (layer.scale, layer.offset))
    if scale.ndim or offset.ndim:  # of the channels, wherever the configuration has them
        source = to.laid_out(source, config.image_data_format() == "channels_first")
        places = [1] * (len(shape) - 1)
        scale, offset = (
            value.reshape(-1, *places) if value.ndim == 1 and source in to.first else value for value in (scale, offset)
        )
    return to.affine(source, scale, offset)


def _normalization(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    mean, variance = (getattr(layer, name).double().numpy()[0] for name in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), config.epsilon())
    scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    to.plan.constants.extend((layer, name, getattr(layer, name).clone()) for name in ("mean", "variance"))
    return to.affine(ins[0], scale, offset)


def _groups(
    to: Builder, source: int, params: list[int], epsilon: float, index: Any, member: Any, **details: Any
) -> int:
    """Normalize over groups of elements; ``index`` (of the weights) and ``member`` (of groups) in the user's order."""
    order = np.argsort(to.numbers(source).ravel())
    index, member = (np.broadcast_to(each, to.seen(source)).ravel()[order] for each in (index, member))
    count = int(member.max()) + 1
    more = {"index": index.tolist(), "member": member.tolist(), "groups": count, "epsilon": epsilon, **details}
    return to.add("norm_group", [source], to.shape(source), params=params, **more)


def _over_axes(to: Builder, axis: Any, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the elements by their place on some axes (batch included), and by that on the others."""
    chosen = set(to.axes(axis, source))
    seen = to.seen(source)
    inside = [size if i in chosen else 1 for i, size in enumerate(seen)]
    outside = [1 if i in chosen else size for i, size in enumerate(seen)]
    return np.arange(np.prod(inside)).reshape(inside), np.arange(np.prod(outside)).reshape(outside)


def _layer_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    if layer.rms_scaling:
        raise Unsupported("rms_scaling")
    params = [to.parameter(layer.gamma), to.parameter(layer.beta)]
    return _groups(to, ins[0], params, layer.epsilon, *_over_axes(to, layer.axis, ins[0]))


def _rms_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params, places = [to.parameter(layer.scale), -1], _over_axes(to, layer.axis, ins[0])
    return _groups(to, ins[0], params, layer.epsilon, *places, centered=False)


def _unit_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return unit(to, ins[0], layer.axis, 1e-12)


def unit(to: Builder, source: int, axis: Any, epsilon: float) -> int:
    """Divide by the Euclidean length over some of the user's axes (batch included), which counts as at least ε."""
    index, member = _over_axes(to, axis, source)
    params = [to.constant(index.size**-0.5, 1), -1]
    return _groups(to, source, params, epsilon**2 / index.size, np.zeros_like(index), member, centered=False)


def _group_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    seen = to.seen(ins[0])
    axis = layer.axis % (len(seen) + 1) - 1
    channels = np.arange(seen[axis]).reshape([-1 if i == axis else 1 for i in range(len(seen))])
    params = [to.parameter(layer.gamma), to.parameter(layer.beta)]
    return _groups(to, ins[0], params, layer.epsilon, channels, channels // (seen[axis] // layer._groups))


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "UnitNormalization": _unit_norm,
    "GroupNormalization": _group_norm,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
}
