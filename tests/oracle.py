"""Keras as an oracle for layers: the same arguments, weights and inputs must give the same everything."""

import inspect
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

import keras  # isort: skip
from convia import optimizers
from convia.layer import Layer
from convia.symbolic import KerasTensor

TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
COMPARED: dict[str, set[str]] = defaultdict(set)  # layer → its configurations that are compared with Keras


def against_keras(argnames: str, rows: Any, **options: Any) -> Any:
    """Parametrize a test that compares outputs in both modes and gradients with Keras's; a row starts with the layer.

    The rows count as configurations of the layer, see test_every_layer_is_compared.py.
    """
    rows = list(rows)
    for row in rows:
        name, *arguments = getattr(row, "values", row)
        COMPARED[name].add(repr(arguments))
    return pytest.mark.parametrize(argnames, rows, **options)


def relative_error(ours: Any, theirs: Any) -> float:
    """Return max |a − b| / max |b|, infinite where shapes differ or only one is not finite."""
    a, b = _array(ours), _array(theirs)
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    scale = max(float(np.abs(b[np.isfinite(b)]).max(initial=0.0)), 1e-6)
    difference = np.where(a == b, 0.0, a - b)  # equal infinities do not differ
    return float(np.abs(difference).max()) / scale


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype is torch.bfloat16 else value
    return np.asarray(value, dtype=np.float64)


def assert_close(ours: Any, theirs: Any, what: str = "output", tolerance: float = TOLERANCE) -> None:
    """Compare two tensors, or two lists of them."""
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), what
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_close(a, b, f"{what} {number}", tolerance)
        return
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: shape {tuple(ours.shape)} ≠ {tuple(theirs.shape)}"
    error = relative_error(ours, theirs)
    assert error <= tolerance, f"{what}: relative error {error:.2e}"


def random_inputs(*shapes: tuple[int, ...], dtype: str = "float32") -> list[np.ndarray]:
    """Return normally distributed arrays of the given shapes; integers from 0 to 9 for integer types."""
    if "float" not in dtype:
        return [np.random.randint(0, 10, shape).astype(dtype) for shape in shapes]
    return [np.random.normal(size=shape).astype(dtype) for shape in shapes]


def compare_layer(
    ours: Layer,
    theirs: Any,
    *inputs: np.ndarray,
    training: bool = False,
    grads: bool = True,
    tolerance: float = TOLERANCE,
) -> None:
    """Call both layers with the same weights; compare outputs, gradients, a training step, and the weights' names and shapes.

    A layer of several inputs takes them as one list. The weights are set to random positive numbers first, so
    that biases and statistics take part.
    """
    a, a_inputs = _prepared(ours, inputs, grads)
    b, b_inputs = _prepared(theirs, inputs, grads)
    keyword = {"training": training} if training else {}
    theirs(b, **keyword)
    ours(a)
    copy_weights(ours, theirs)
    a_out, b_out = ours(a, **keyword), theirs(b, **keyword)
    a_list, b_list = _listed(a_out), _listed(b_out)
    assert_close(a_list, b_list, "output", tolerance)
    for mine, other in zip(a_list, b_list, strict=True):
        assert mine.dtype is other.dtype, f"output type {mine.dtype} ≠ {other.dtype}"
    assert_close(ours.get_weights(), theirs.get_weights(), "weight after the call", tolerance)
    if grads:
        _compare_gradients(ours, theirs, (a_list, a_inputs), (b_list, b_inputs), tolerance)


def _prepared(layer: Any, inputs: tuple[np.ndarray, ...], grads: bool) -> tuple[Any, list[torch.Tensor]]:
    tensors = [torch.tensor(array) for array in inputs]
    for tensor in tensors:
        if grads and tensor.is_floating_point():
            tensor.requires_grad_()
    return (tensors[0] if len(tensors) == 1 else tensors), tensors


def _listed(outputs: Any) -> list[torch.Tensor]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def copy_weights(ours: Layer, theirs: Any) -> None:
    """Give both layers the same random weights, after comparing their names, shapes and order."""
    books = [[(v.name, tuple(v.shape), v.trainable) for v in layer.weights] for layer in (ours, theirs)]
    assert books[0] == books[1], f"weights {books[0]} ≠ {books[1]}"
    values = [np.random.uniform(0.2, 1.0, shape).astype("float32") for _, shape, _ in books[0]]
    ours.set_weights(values)
    theirs.set_weights(values)


def _compare_gradients(ours: Layer, theirs: Any, mine: Any, other: Any, tolerance: float) -> None:
    found = []
    torch.manual_seed(1)
    cotangents = [torch.randn_like(output, memory_format=torch.contiguous_format) for output in mine[0]]
    for layer, (outputs, inputs) in ((ours, mine), (theirs, other)):
        weights = [getattr(v, "value", v) for v in layer.trainable_weights]
        leaves = [leaf for leaf in (*inputs, *weights) if leaf.requires_grad]
        found.append(torch.autograd.grad(outputs, leaves, cotangents, allow_unused=True) if leaves else ())
    for number, (a, b) in enumerate(zip(*found, strict=True)):
        assert (a is None) == (b is None), f"gradient {number}"
        if a is not None:
            assert_close(a, b, f"gradient {number}", tolerance)
    _compare_step(ours, theirs, *found, tolerance)


def _compare_step(ours: Layer, theirs: Any, mine: Any, other: Any, tolerance: float) -> None:
    """Make one training step of both with their gradients (of the inputs, then of the weights), constraints included."""
    count = len(ours.trainable_weights)
    for layer, gradients, library in ((ours, mine, optimizers), (theirs, other, keras.optimizers)):
        if count and all(gradient is not None for gradient in gradients[-count:]):
            with torch.no_grad():
                library.SGD(0.1, momentum=0.9).apply(list(gradients[-count:]), layer.trainable_weights)
    assert_close(ours.get_weights(), theirs.get_weights(), "weight after a training step", tolerance)


def compare_symbolic(ours: Layer, theirs: Any, *shapes: tuple[int | None, ...], dtype: str = "float32") -> None:
    """Compare the output shapes and types of symbolic calls, None for unknown sizes included."""
    mine = [KerasTensor(shape, dtype) for shape in shapes]
    other = [keras.KerasTensor(shape, dtype) for shape in shapes]
    a = ours(mine if len(shapes) > 1 else mine[0])
    b = theirs(other if len(shapes) > 1 else other[0])
    described = [[(tuple(t.shape), t.dtype) for t in _listed(out)] for out in (a, b)]
    assert described[0] == described[1], f"{described[0]} ≠ {described[1]}"


def compare_config(ours: Layer, theirs: Any) -> None:
    """Compare configs (names of dtype policies aside), and go from config to layer and back."""
    mine, other = ours.get_config(), theirs.get_config()
    assert type(ours).from_config(mine).get_config() == mine, "from_config(get_config()) has another config"
    assert _plain(type(ours).from_config(other).get_config()) == _plain(mine), "Keras's config makes another layer"
    assert _plain(mine) == _plain(other)


def _plain(config: Any) -> Any:
    """Tuples and lists are one in JSON, Keras rounds factors to float32; names and policies are not compared."""
    if isinstance(config, float):
        return float(f"{config:.6g}")
    if isinstance(config, dict):
        return {key: _plain(value) for key, value in config.items() if key not in ("dtype", "name")}
    return [_plain(value) for value in config] if isinstance(config, (list, tuple)) else config


def positional(cls):
    """The arguments of a constructor that may be given by position, with their defaults."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
