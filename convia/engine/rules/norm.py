"""Normalizations, of the batch and of each sample, and fixed scales."""

from typing import Any

import numpy as np
import torch

from convia import config
from convia.engine.builder import Builder, Rule
from convia.engine.plan import Shape, Unsupported


def _batch_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    if layer.renorm or not to.over_channels(layer.axis, ins[0]):
        raise Unsupported("renorm" if layer.renorm else f"axis={layer.axis}")
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    params = [to.parameter(weight) for weight in weights]
    if layer.trainable:
        to.plan.step("norm_stats", [ins[0]])
    kind = "norm_batch" if layer.trainable else "norm_frozen"
    return to.add(kind, ins, shape, params=params, epsilon=layer.epsilon, momentum=layer.momentum)


def _scaled(to: Builder, source: int, scale: Any, offset: Any) -> int:
    """Add x·scale + offset with constants, one or one per channel."""
    shape = to.shape(source)
    params = [to.constant(value, shape[-1]) for value in (scale, offset, 0.0, 1.0)]
    return to.add("norm_frozen", [source], shape, params=params)


def _rescaling(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    source = ins[0]
    scale, offset = (torch.as_tensor(value, dtype=torch.float32) for value in (layer.scale, layer.offset))
    if scale.ndim or offset.ndim:
        to.channels_first = config.image_data_format() == "channels_first"
        source = to.laid_out(source, to.channels_first)
    if any(value.ndim and tuple(value.shape) != to.shape(source)[-1:] for value in (scale, offset)):
        raise Unsupported("a scale or offset of such a shape")
    return _scaled(to, source, scale, offset)


def _normalization(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    mean, variance = layer.mean.double(), layer.variance.double()
    sizes = mean.shape[1:]
    if mean.numel() not in (1, shape[-1]) or (mean.numel() > 1 and sizes[0 if to.channels_first else -1] != shape[-1]):
        raise Unsupported("statistics that are not one per channel")
    deviation = variance.sqrt().clamp(min=config.epsilon()).ravel()
    scale, offset = (deviation, mean.ravel()) if layer.invert else (1 / deviation, -mean.ravel() / deviation)
    to.plan.constants.extend((layer, name, getattr(layer, name).clone()) for name in ("mean", "variance"))
    return _scaled(to, ins[0], scale, offset)


def _groups(
    to: Builder, source: int, params: list[int], epsilon: float, index: Any, member: Any, **details: Any
) -> int:
    """Normalize over groups of elements; ``index`` (of the weights) and ``member`` (of groups) in the user's order."""
    order = np.argsort(to.numbers(source).ravel())
    index, member = (np.broadcast_to(each, to.seen(source)).ravel()[order] for each in (index, member))
    count = int(member.max()) + 1
    more = {"index": index.tolist(), "member": member.tolist(), "groups": count, "epsilon": epsilon, **details}
    return to.add("norm_group", [source], to.shape(source), params=params, **more)


def _over_axes(axis: Any, seen: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Number the elements by their place on some axes (batch included), and by that on the others."""
    chosen = {each % (len(seen) + 1) - 1 for each in ([axis] if isinstance(axis, int) else axis)}
    if -1 in chosen:
        raise Unsupported("normalization over the batch")
    inside = [size if i in chosen else 1 for i, size in enumerate(seen)]
    outside = [1 if i in chosen else size for i, size in enumerate(seen)]
    return np.arange(np.prod(inside)).reshape(inside), np.arange(np.prod(outside)).reshape(outside)


def _layer_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    if layer.rms_scaling:
        raise Unsupported("rms_scaling")
    params = [to.parameter(layer.gamma), to.parameter(layer.beta)]
    return _groups(to, ins[0], params, layer.epsilon, *_over_axes(layer.axis, to.seen(ins[0])))


def _rms_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    params, places = [to.parameter(layer.scale), -1], _over_axes(layer.axis, to.seen(ins[0]))
    return _groups(to, ins[0], params, layer.epsilon, *places, centered=False)


def _unit_norm(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    index, member = _over_axes(layer.axis, to.seen(ins[0]))
    params = [to.constant(index.size**-0.5, 1), -1]
    return _groups(to, ins[0], params, 1e-24 / index.size, np.zeros_like(index), member, centered=False)


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
