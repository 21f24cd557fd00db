"""Activations, noise and penalties: layers that look at each element by itself."""

from typing import Any

import numpy as np

from convia.engine.builder import Builder, Rule
from convia.engine.functions import Activation, rectified
from convia.engine.plan import NOISES, Shape, Unsupported


def _activation(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.activated(to.activation(layer.activation), ins[0])


def _relu(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    more = getattr(layer, "max_value", None), getattr(layer, "threshold", 0.0)
    return to.activated(rectified(layer.negative_slope, *more), ins[0])


def _elu(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.activated(Activation("elu", float(layer.alpha)), ins[0])


def _prelu(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    slopes = np.arange(layer.alpha.numel()).reshape(layer.alpha.shape)
    return to.add("prelu", ins, shape, params=[to.parameter(layer.alpha)], index=_by_element(to, ins[0], slopes))


def _by_element(to: Builder, tensor: int, values: np.ndarray) -> list[int]:
    """Spread values over the elements as the user sees them; list them in the engine's order."""
    numbers = to.numbers(tensor)
    result = np.empty(numbers.size, int)
    result[numbers.ravel()] = np.broadcast_to(values, numbers.shape).ravel()
    return result.tolist()


def _softmax(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return to.over_axes("softmax", ins[0], layer.axis)


def _noise(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    kind, rate = _NOISES[type(layer).__name__]
    amount = float(rate(layer))
    if not amount or to.frozen:
        return ins[0]
    masks = getattr(layer, "noise_shape", None) or getattr(layer, "_noise_shape", None)
    index = {}
    if masks is not None:
        seen = to.seen(ins[0])
        sizes = [size if given is None else given for given, size in zip(masks[1:], seen, strict=True)]
        if masks[0] is not None or any(size not in (1, own) for size, own in zip(sizes, seen, strict=True)):
            raise Unsupported("such a noise_shape")
        index = {"index": _by_element(to, ins[0], np.arange(np.prod(sizes)).reshape(sizes))}
    key = len(to.plan.random_layers)
    to.plan.random_layers.append(layer)
    return to.add("noise", ins, shape, noise=NOISES.index(kind), rate=amount, key=key, **index)


_NOISES: dict[str, Any] = {
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), ("dropout", lambda layer: layer.rate)
    ),
    "GaussianNoise": ("add", lambda layer: layer.stddev),
    "GaussianDropout": ("multiply", lambda layer: (layer.rate / (1 - layer.rate)) ** 0.5),
    "AlphaDropout": ("alpha", lambda layer: layer.rate),
}


def _identity(to: Builder, layer: Any, ins: list[int], shape: Shape) -> int:
    return ins[0]


RULES: dict[str, Rule] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _relu,
    "ELU": _elu,
    "PReLU": _prelu,
    "Softmax": _softmax,
    **dict.fromkeys(_NOISES, _noise),
    "Identity": _identity,
    "ActivityRegularization": _identity,
}
