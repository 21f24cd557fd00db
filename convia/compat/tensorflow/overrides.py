"""Gradients replaced by name, as guided backpropagation did it in TensorFlow 1.

``ops.RegisterGradient("Guided")`` notes a function of (operation, gradient); within
``graph.gradient_override_map({"Relu": "Guided"})`` every ReLU of a network under construction gets that gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from convia import activations, symbolic
from convia.compat.tensorflow import nn
from convia.errors import explain, nearest
from convia.layer import Layer

REGISTRY: dict[str, Callable[..., Any]] = {}
_RELUS = (activations.relu, torch.relu, torch.nn.functional.relu)


def register_gradient(op_type: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Note the decorated function of (operation, gradient) under a name."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        REGISTRY[op_type] = function
        return function

    return note


class _Relu(torch.autograd.Function):
    """ReLU with another gradient, which sees the operation's ``inputs`` and ``outputs``."""

    @staticmethod
    def forward(context: Any, x: Any, gradient: Any) -> Any:
        context.save_for_backward(x)
        context.gradient = gradient
        return x.clamp(min=0)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        (x,) = context.saved_tensors
        operation = SimpleNamespace(inputs=[x], outputs=[x.clamp(min=0)], type="Relu")
        return context.gradient(operation, gradients[0]), None


def gradient_override_map(op_type_map: dict[str, str]) -> Any:
    """Return a block in which layers that join a network have the registered gradient in place of ReLU's own.

    Raises:
        NotImplementedError: another operation than "Relu".
        ValueError: a name that is not registered.
    """
    if set(op_type_map) - {"Relu"}:
        remedy = "Use tf.custom_gradient on the activation function instead."
        raise NotImplementedError(explain("Graph.gradient_override_map", repr(op_type_map), "{'Relu': name}", remedy))
    name = op_type_map.get("Relu", "")
    if name not in REGISTRY:
        known = list(REGISTRY)
        raise ValueError(explain("Graph.gradient_override_map", repr(name), f"one of {known}", nearest(name, known)))
    return _overridden(symbolic.op(lambda x: _Relu.apply(x, REGISTRY[name])))  # type: ignore[no-untyped-call]


@contextmanager
def _overridden(relu: Callable[[Any], Any]) -> Iterator[None]:
    original = Layer._record

    def record(self: Any, args: Any, kwargs: Any) -> Any:
        if getattr(self, "activation", None) in (*_RELUS, nn.NN["relu"]):
            self.activation = relu
        return original(self, args, kwargs)

    Layer._record = record  # type: ignore[method-assign]
    try:
        yield
    finally:
        Layer._record = original  # type: ignore[method-assign]


__all__ = ["REGISTRY", "gradient_override_map", "register_gradient"]
