"""Layers that only move elements, and those that join several tensors."""

from typing import Any

import numpy as np
import torch

from convia import config
from convia.engine.builder import Builder, Rule
from convia.engine.plan import Shape, Unsupported
from convia.engine.rules.norm import unit


def _move(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """Any layer that only moves elements."""
    return to.move(layer.call, ins, [shape])[0]


def _concatenate(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.move(lambda *parts: layer.call(parts), ins, [shape])[0]


def _join(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.joined(type(layer).__name__.lower(), ins)


def _dot(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """Σₖ x[a…, k]·y[b…, k]: the products of all with all, added up."""
    axes = [axis - 1 for axis in layer._axes_of(tuple(len(to.shape(part)) + 1 for part in ins))]
    if layer.normalize:
        ins = [unit(to, part, axis + 1, config.epsilon()) for part, axis in zip(ins, axes, strict=True)]
    rests = [tuple(n for axis, n in enumerate(to.seen(part)) if axis != k) for part, k in zip(ins, axes, strict=True)]
    size = to.seen(ins[0])[axes[0]]
    shapes = [(*rests[0], *(1,) * len(rests[1]), size), (*(1,) * len(rests[0]), *rests[1], size)]
    if len(shapes[0]) > 4:
        raise Unsupported("so many axes")
    parts = [
        to.move(lambda x, k=k, shape=shape: x.movedim(k + 1, -1).reshape(2, *shape), [part], [shape])[0]
        for part, k, shape in zip(ins, axes, shapes, strict=True)
    ]
    products = to.joined("multiply", parts)
    if len(shapes[0]) == 1:
        products = to.move(lambda x: x.reshape(2, 1, size), [products], [(1, size)])[0]
    last = len(to.shape(products)) - 1
    return to.affine(to.reduced("pool_average", products, [last], False), float(size), 0.0)


def _resized(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """Interpolation is linear: a mix of rows, then one of columns; both are what the layer makes of unit vectors."""
    if getattr(layer, "interpolation", None) == "nearest":
        return _move(to, layer, ins, shape)
    out = ins[0]
    for axis in range(len(shape) - 1):
        out = mixed(to, layer.call, out, axis, shape[axis])
    return out


def mixed(to: Builder, run: Any, source: int, axis: int, size: int) -> int:
    """Add what a linear function of images does along a spatial axis, where it keeps what is the same along others."""
    old = to.shape(source)
    form = [old[axis] if place == axis else 2 for place in range(len(old) - 1)]
    lines = torch.eye(old[axis]).reshape(old[axis], *(n if place == axis else 1 for place, n in enumerate(form)))
    units = lines.expand(old[axis], *form).unsqueeze(1 if source in to.first else -1).contiguous()
    image = run(units).select(1 if source in to.first else -1, 0)
    matrix = image.movedim(axis + 1, 1).reshape(old[axis], size, -1)[..., 0].T.numpy()  # (size, old size)
    places, origins = np.nonzero(matrix)
    if len(set(places)) < size:
        raise Unsupported("elements that depend on nothing")
    shape = tuple(size if place == axis else n for place, n in enumerate(old))
    terms = {"member": places.tolist(), "index": origins.tolist(), "factors": matrix[places, origins].tolist()}
    to.channels_first = source in to.first
    return to.add("mix", [source], shape, axis=3 - len(form) + axis, **terms)


RULES: dict[str, Rule] = {
    "Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D "
    "Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling3D": _move,
    "UpSampling2D AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D": _resized,
    "Concatenate": _concatenate,
    "Add Subtract Multiply Average Maximum Minimum": _join,
    "Dot": _dot,
}
