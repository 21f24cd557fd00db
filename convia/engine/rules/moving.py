"""Layers that only move elements, and those that join several tensors."""

from functools import reduce
from typing import Any

import numpy as np
import torch

from convia.engine.builder import Builder, Rule
from convia.engine.plan import JOINS, Shape, Unsupported


def _move(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    """Any layer that only moves elements: it is run on their numbers; what it pads with is 0."""
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise Unsupported(f"interpolation={layer.interpolation!r}")
    numbers = torch.from_numpy(to.numbers(ins[0]) + 1.0)[None]
    moved = layer.call(numbers)[0].long().numpy() - 1
    out = to.tensor(shape)
    to.copy(ins[0], out, moved[moved >= 0], to.numbers(out)[moved >= 0])
    return out


def _concatenate(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    axis = layer.axis - 1 if layer.axis > 0 else layer.axis
    if layer.axis == 0:
        raise Unsupported("axis=0")
    out = to.tensor(shape)
    places = np.split(to.numbers(out), np.cumsum([to.seen(source)[axis] for source in ins])[:-1], axis)
    for source, part in zip(ins, places, strict=True):
        to.copy(source, out, to.numbers(source), part)
    return out


def _join(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    kind = type(layer).__name__.lower()
    if len(ins) < 2:
        return ins[0]

    def joined(*parts: int) -> int:
        sizes = zip(*((1,) * (len(shape) - len(to.shape(part))) + to.shape(part) for part in parts), strict=True)
        return to.add("join", list(parts), tuple(map(max, sizes)), join=JOINS.index(kind))

    return reduce(joined, ins) if kind in ("maximum", "minimum") else joined(*ins)


RULES: dict[str, Rule] = {
    "Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D "
    "Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D": _move,
    "Concatenate": _concatenate,
    "Add Subtract Multiply Average Maximum Minimum": _join,
}
