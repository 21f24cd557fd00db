"""What each layer of a network costs and sees: shapes and how they come about, parameters, operations, fields."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, tree
from convia.errors import explain
from convia.explain.inside import layer_paths
from convia.layer import Layer, hooked

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """What is known of one call of a layer. Shapes lack the batch."""

    path: str
    kind: str
    input_shape: Sizes
    output_shape: Sizes
    formula: str  # how the output's size comes about; empty where it is the input's
    parameters: int
    operations: int  # multiplications and additions for one image, each counted
    field: Sizes | None  # receptive field: pixels of the image that one output sees, per axis; None for all


@dataclass
class Anatomy:
    """All layers of a model, and what one image costs."""

    rows: list[Row] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0  # what all layers make of one image

    @property
    def operations(self) -> int:
        """Multiplications and additions for one image."""
        return sum(row.operations for row in self.rows)

    def training_bytes(self, batch_size: int) -> int:
        """Estimate the memory of a step with Adam: weights, gradients, two moments, activations and their slopes."""
        trained = self.weight_bytes * self.trainable // max(self.parameters, 1)
        return self.weight_bytes + 3 * trained + 2 * batch_size * self.activation_bytes


def anatomy(model: Any, input_shape: Sizes | None = None) -> Anatomy:
    """Run a model on one image of zeros and note what each layer does.

    Receptive fields follow r ← r + (k − 1) · j and j ← j · s, layer by layer (Araujo, Norris and Sim 2019, "Computing
    receptive fields of convolutional neural networks"); where branches meet, the larger counts.

    Args:
        model: a model with one input of images.
        input_shape: (height, width, channels), needed where the model leaves sizes open.

    Raises:
        ValueError: sizes that are not known, or a model without layers.
    """
    shape = tuple(input_shape or model.input_shape[1:])
    if not all(isinstance(size, int) for size in shape) or len(shape) < 2:
        expected = "a size for each axis"
        raise ValueError(explain(f"anatomy of {model.name!r}", f"the shape {shape}", expected, "Pass input_shape."))
    found = Anatomy()
    watch = _Watch(found, shape)
    layers = {id(layer): path for path, layer in layer_paths(model).items() if not _is_model(layer)}
    watch.paths = layers
    with torch.no_grad(), hooked([layer for layer in layer_paths(model).values() if id(layer) in layers], watch.note):
        x = torch.zeros((1, *shape), dtype=config.torch_dtype(config.floatx()), device=config.device())
        model(x, training=False)
    found.parameters = sum(weight.numel() for weight in model.weights)
    found.trainable = sum(weight.numel() for weight in model.trainable_weights)
    found.weight_bytes = sum(weight.numel() * weight.element_size() for weight in model.weights)
    return found


def seconds_per_image(model: Any, input_shape: Sizes, batch_size: int = 1, times: int = 3) -> float:
    """Measure how long ``predict`` takes per image, the least of several times after one that does not count."""
    x = np.zeros((batch_size, *input_shape), config.floatx())
    taken = []
    for _ in range(times + 1):
        began = perf_counter()
        model.predict(x, batch_size=batch_size, verbose=0)
        taken.append(perf_counter() - began)
    return min(taken[1:]) / batch_size


def _is_model(layer: Layer) -> bool:
    return hasattr(layer, "fit")


class _Watch:
    """Notes a row per call, and follows the receptive field from tensor to tensor."""

    def __init__(self, found: Anatomy, shape: Sizes) -> None:
        self.found = found
        self.paths: dict[int, str] = {}
        self._fields: dict[int, _Field] = {}
        self._latest = _Field((1,) * (len(shape) - 1), (1.0,) * (len(shape) - 1))
        self._alive: list[Any] = []  # so that no id is used again

    def note(self, layer: Layer, inputs: Any, output: Any) -> None:
        """Note a call."""
        given = [one for one in tree.flatten(list(inputs)) if isinstance(one, Tensor)]
        made = next((one for one in tree.flatten(output) if isinstance(one, Tensor)), None)
        if made is None or not given:
            return
        before = _Field.union([self._fields.get(id(one), self._latest) for one in given])
        seen = before.after(layer, given[0], made)
        self._fields[id(made)] = self._latest = seen
        self._alive += [*given, made]
        inner = any(True for _ in layer.sublayers())
        weights = sum(weight.numel() for weight in layer.weights) if not inner else 0
        row = Row(
            self.paths[id(layer)], type(layer).__name__, tuple(given[0].shape[1:]), tuple(made.shape[1:]),
            formula(layer, tuple(given[0].shape[1:]), tuple(made.shape[1:])), weights,
            0 if inner else operations(layer, given, made), seen.sizes if seen.is_local else None,
        )  # fmt: skip
        self.found.rows.append(row)
        self.found.activation_bytes += made.numel() * made.element_size()


@dataclass(frozen=True)
class _Field:
    """Receptive field per axis, and the distance of neighbours' fields, in pixels of the image."""

    sizes: Sizes
    jumps: tuple[float, ...]
    is_local: bool = True

    @staticmethod
    def union(fields: list["_Field"]) -> "_Field":
        sizes = tuple(max(column) for column in zip(*(one.sizes for one in fields), strict=True))
        jumps = tuple(max(column) for column in zip(*(one.jumps for one in fields), strict=True))
        return _Field(sizes, jumps, all(one.is_local for one in fields))

    def after(self, layer: Layer, given: Tensor, made: Tensor) -> "_Field":
        """Return the field behind a layer."""
        if not self.is_local or given.ndim != len(self.sizes) + 2 or made.ndim != given.ndim:
            return _Field(self.sizes, self.jumps, False)
        if "Global" in type(layer).__name__:
            return _Field(self.sizes, self.jumps, False)
        windows = _windows(layer, len(self.sizes))
        sizes, jumps = [], []
        for size, jump, (k, s, d) in zip(self.sizes, self.jumps, windows, strict=True):
            reach = math.ceil(k / s) - 1 if _is_transposed(layer) else d * (k - 1)
            sizes.append(size + math.ceil(reach * jump))
            jumps.append(jump / s if _is_transposed(layer) or "UpSampling" in type(layer).__name__ else jump * s)
        return _Field(tuple(sizes), tuple(jumps))


def _is_transposed(layer: Layer) -> bool:
    return "Transpose" in type(layer).__name__


def _windows(layer: Any, rank: int) -> Iterator[tuple[int, int, int]]:
    """Yield window, stride and dilation for each axis; (1, 1, 1) where a layer has no windows."""
    kind = type(layer).__name__
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    stride = (
        getattr(layer, "strides", None) if window else getattr(layer, "size", None) if "UpSampling" in kind else None
    )
    values = (
        _per_axis(one, rank) for one in (window, stride, getattr(layer, "dilation_rate", None) if window else None)
    )
    yield from zip(*values, strict=True)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * rank
    return tuple(value) if isinstance(value, (list, tuple)) and len(value) == rank else (1,) * rank


def _spatial(layer: Any, shape: Sizes) -> Sizes:
    first = (getattr(layer, "data_format", None) or config.image_data_format()) == "channels_first"
    return shape[1:] if first else shape[:-1]


def formula(layer: Any, before: Sizes, after: Sizes) -> str:
    """Write out how a layer's output size comes about: "(28 − 3 + 2·0)/1 + 1 = 26", per axis where they differ.

    Of a window k, stride s, dilation d and padding p on both sides, ⌊(n − d·(k − 1) − 1 + 2·p)/s⌋ + 1.
    """
    kind = type(layer).__name__
    special = next((write for word, write in _FORMULAS.items() if word in kind), None)
    if special is not None:
        return special(layer, before, after)
    if len(before) != len(after) or not (getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)):
        return ""
    sizes, results = _spatial(layer, before), _spatial(layer, after)
    windows = _windows(layer, len(sizes))
    transposed = _is_transposed(layer)
    texts = [
        (_transposed if transposed else _slid)(n, *window, getattr(layer, "padding", "valid"), result)
        for n, window, result in zip(sizes, windows, results, strict=True)
    ]
    return " × ".join(texts if len(set(texts)) > 1 else texts[:1])


def _slid(n: int, k: int, s: int, d: int, padding: str, result: int) -> str:
    total = max((result - 1) * s + d * (k - 1) + 1 - n, 0) if padding == "same" else 0
    if padding == "causal":
        total = d * (k - 1)
    window = f"{d}·({k} − 1) − 1" if d > 1 else f"{k}"
    around = f"2·{total // 2}" if total % 2 == 0 else f"{total}"
    exact = (n - d * (k - 1) - 1 + total) % s == 0
    inner = f"({n} − {window} + {around})/{s}"
    return f"{inner if exact else f'⌊{inner}⌋'} + 1 = {result}"


def _transposed(n: int, k: int, s: int, d: int, padding: str, result: int) -> str:
    if padding == "same":
        return f"{n}·{s} = {result}" if result == n * s else f"→ {result}"
    text = f"({n} − 1)·{s} + {d * (k - 1) + 1}"
    rest = result - ((n - 1) * s + d * (k - 1) + 1)
    return f"{text}{f' + {rest}' if rest else ''} = {result}"


def _upsampled(layer: Any, before: Sizes, after: Sizes) -> str:
    pairs = zip(_spatial(layer, before), _per_axis(layer.size, len(before) - 1), _spatial(layer, after), strict=True)
    texts = [f"{n}·{s} = {result}" for n, s, result in pairs]
    return " × ".join(texts if len(set(texts)) > 1 else texts[:1])


def _sides(sign: str, name: str) -> Callable[[Any, Sizes, Sizes], str]:
    def write(layer: Any, before: Sizes, after: Sizes) -> str:
        amounts = getattr(layer, name)
        pairs = [one if isinstance(one, (list, tuple)) else (one, one) for one in amounts]
        rows = zip(_spatial(layer, before), pairs, _spatial(layer, after), strict=True)
        texts = [f"{n} {sign} {a} {sign} {b} = {result}" for n, (a, b), result in rows]
        return " × ".join(texts if len(set(texts)) > 1 else texts[:1])

    return write


_FORMULAS: dict[str, Callable[[Any, Sizes, Sizes], str]] = {  # part of the layer's type → how its size is written
    "Flatten": lambda layer, before, after: f"{'·'.join(map(str, before))} = {after[-1]}",
    "Global": lambda layer, before, after: f"{'·'.join(map(str, _spatial(layer, before)))} → 1",
    "UpSampling": _upsampled,
    "ZeroPadding": _sides("+", "padding"),
    "Cropping": _sides("−", "cropping"),
    "Concatenate": lambda layer, before, after: f"channels → {after[-1]}",
    "Dense": lambda layer, before, after: f"{before[-1]} → {after[-1]}",
}


def operations(layer: Any, given: list[Tensor], made: Tensor) -> int:
    """Count a layer's multiplications and additions for one image.

    A kernel of k weights per output costs 2·k, the bias one more; pooling one per value of the window; normalizing
    two per value; merging one per further input. Moving values costs nothing.
    """
    kind, outputs = type(layer).__name__, made[0].numel()
    own = [getattr(layer, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    kernels = [kernel for kernel in own if isinstance(kernel, Tensor)]
    if kernels:
        return _by_kernels(layer, kernels, given[0], made)
    if "Global" in kind:
        return given[0][0].numel()
    if getattr(layer, "pool_size", None):
        return outputs * math.prod(_per_axis(layer.pool_size, made.ndim - 2))
    if "Normalization" in kind or kind == "Rescaling":
        return 2 * outputs
    if kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        return outputs * (len(given) - 1)
    return outputs if kind in ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax") else 0


def _by_kernels(layer: Any, kernels: list[Tensor], given: Tensor, made: Tensor) -> int:
    """A convolution applies each weight once per place; a separable one has a kernel for each of its halves."""
    dense = made.ndim == 2 or kernels[0].ndim == 2
    spatial = _spatial(layer, tuple((given if _is_transposed(layer) else made).shape[1:]))
    places = made[0].numel() // made.shape[-1] if dense else math.prod(spatial)
    biased = made[0].numel() if getattr(layer, "bias", None) is not None else 0
    return 2 * places * sum(kernel.numel() for kernel in kernels) + biased
