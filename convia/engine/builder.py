"""What rules build a plan with: tensors and their layouts, weights, and the steps that several layers are made of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convia import activations
from convia.engine.plan import ACTS, IN_PLACE, Parameter, Plan, Shape, Unsupported
from convia.regularizers import L1, L1L2, L2

_ACTIVATIONS: dict[Any, tuple[str, float]] = {
    activations.linear: ("linear", 0.0),
    activations.relu: ("relu", 0.0),
    activations.leaky_relu: ("leaky_relu", 0.2),
    activations.elu: ("elu", 1.0),
    activations.celu: ("elu", 1.0),
    activations.selu: ("selu", 0.0),
    activations.tanh: ("tanh", 0.0),
    activations.sigmoid: ("sigmoid", 0.0),
    activations.softplus: ("softplus", 0.0),
    activations.exponential: ("exponential", 0.0),
    activations.relu6: ("capped_relu", 6.0),
    activations.hard_sigmoid: ("hard_sigmoid", 0.0),
    activations.hard_tanh: ("hard_tanh", 0.0),
    activations.softsign: ("softsign", 0.0),
    activations.silu: ("silu", 0.0),
    activations.gelu: ("gelu", 0.0),
    activations.mish: ("mish", 0.0),
    activations.hard_silu: ("hard_silu", 0.0),
    activations.log_sigmoid: ("log_sigmoid", 0.0),
    activations.tanh_shrink: ("tanh_shrink", 0.0),
    activations.soft_shrink: ("soft_shrink", 0.5),
    activations.hard_shrink: ("hard_shrink", 0.5),
    activations.squareplus: ("squareplus", 4.0),
    activations.sparse_plus: ("sparse_plus", 0.0),
    activations.sparse_sigmoid: ("sparse_sigmoid", 0.0),
    activations.softmax: ("softmax", 0.0),
}


class Builder:
    """A plan in the making.

    Shapes are channels last here, whatever the model's data format: a tensor that the user sees channels first is only
    noted as such, in ``first``. So rules need not know of it, except those that number elements as the user does.

    Args:
        learned: the variables that learn.
    """

    def __init__(self, learned: list[Any]) -> None:
        self.plan = Plan()
        self.first: set[int] = set()
        self.channels_first = False  # whether the layer at hand works channels first
        self.ends_here = False  # whether its output is one of the model's
        self._learned = {id(variable) for variable in learned}
        self._parameters: dict[int, int] = {}
        self._turned: dict[tuple[int, bool], int] = {}

    # -- tensors ------------------------------------------------------------------------------------------------

    def tensor(self, shape: Shape) -> int:
        """Add a tensor in the layout of the layer at hand and return its number."""
        number = self.plan.tensor(shape)
        if self.channels_first and len(shape) > 1:
            self.first.add(number)
        return number

    def shape(self, tensor: int) -> Shape:
        """Return the shape of a tensor as the engine sees it: channels last."""
        return self.plan.shapes[tensor]

    def seen(self, tensor: int) -> Shape:
        """Return the shape of a tensor as the user sees it."""
        shape = self.shape(tensor)
        return (shape[-1], *shape[:-1]) if tensor in self.first else shape

    def numbers(self, tensor: int) -> np.ndarray:
        """Return the engine's number (channel by channel) of each element, in the user's order and shape."""
        *spatial, channels = self.shape(tensor)
        numbers = np.arange(np.prod(self.shape(tensor), dtype=int)).reshape(channels, *spatial)
        return numbers if tensor in self.first else np.moveaxis(numbers, 0, -1)

    def over_channels(self, axis: Any, tensor: int) -> bool:
        """Return whether an axis of the user's (batch included) is that of the channels."""
        rank = len(self.shape(tensor))
        return isinstance(axis, int) and axis % (rank + 1) == (1 if tensor in self.first else rank)

    def laid_out(self, tensor: int, channels_first: bool) -> int:
        """Return the tensor in a layout, a copy where it has the other one."""
        if len(self.shape(tensor)) == 1 or (tensor in self.first) == channels_first:
            return tensor
        if (tensor, channels_first) not in self._turned:
            seen, before = self.seen(tensor), self.channels_first
            self.channels_first = channels_first
            out = self.tensor((*seen[1:], seen[0]) if channels_first else seen)
            self.channels_first = before
            self.copy(tensor, out, self.numbers(tensor), self.numbers(out))
            self._turned[tensor, channels_first] = out
        return self._turned[tensor, channels_first]

    # -- weights ------------------------------------------------------------------------------------------------

    def parameter(self, tensor: Any, order: tuple[int, ...] | None = None) -> int:
        """Return the number of a weight; its memory must run in the given order of axes."""
        if tensor is None:
            return -1
        if id(tensor) in self._parameters:
            return self._parameters[id(tensor)]
        data = tensor.detach()
        view = data if order is None else data.permute(order)
        if data.dtype is not torch.float32 or data.device.type != "cpu" or not view.is_contiguous():
            raise Unsupported("weights of another type, order or device")
        learns = id(tensor) in self._learned
        penalty = penalty_of(getattr(tensor, "regularizer", None)) if learns else (0.0, 0.0)
        self.plan.parameters.append(Parameter(tensor, learns, *penalty))
        if learns and getattr(tensor, "constraint", None) is not None:
            self.plan.constrained.append(tensor)
        self._parameters[id(tensor)] = len(self.plan.parameters) - 1
        return self._parameters[id(tensor)]

    def constant(self, value: Any, size: int) -> int:
        """Return the number of a parameter that never changes."""
        data = torch.as_tensor(value, dtype=torch.float32).expand(size).contiguous()
        self.plan.parameters.append(Parameter(data, False))
        return len(self.plan.parameters) - 1

    # -- steps --------------------------------------------------------------------------------------------------

    def add(self, kind: str, ins: list[int], shape: Shape, **details: Any) -> int:
        """Add a step and the tensor that it makes; return the latter's number."""
        out = self.tensor(shape)
        self.plan.step(kind, ins, out, **details)
        return out

    def copy(self, source: int, out: int, numbers: np.ndarray, places: np.ndarray) -> None:
        """Copy elements, by the engine's numbers."""
        count = int(np.prod(self.shape(source)))
        once = numbers.size == count and len(np.unique(numbers)) == count
        self.plan.step("copy", [source], out, **{"from": _flat(numbers), "to": _flat(places)}, covers=once)

    def activation(self, function: Any) -> tuple[str, float]:
        """Return the engine's name of an activation function and its argument."""
        try:
            return _ACTIVATIONS[function]
        except (KeyError, TypeError):
            raise Unsupported(f"the activation {getattr(function, '__name__', function)!r}") from None

    def activated(self, name: str, alpha: float, source: int) -> int:
        """Add an activation as a step of its own."""
        if name == "linear":
            return source
        if name == "softmax":  # over the user's last axis
            self.channels_first, source = False, self.laid_out(source, False)
            return self.add("softmax", [source], self.shape(source))
        return self.add("unary", [source], self.shape(source), act=ACTS.index(name), alpha=alpha)

    def activated_inside(self, function: Any, make: Callable[[dict[str, Any]], int]) -> int:
        """Make a step that activates in place where the derivative allows and nobody looks; else activate after it."""
        name, alpha = self.activation(function)
        inside = name in IN_PLACE and not self.ends_here
        out = make({"act": ACTS.index(name), "alpha": alpha} if inside else {})
        return out if inside else self.activated(name, alpha, out)

    def penalized(self, regularizer: Any, source: int) -> int:
        """Add a penalty on a tensor to the loss."""
        l1, l2 = penalty_of(regularizer)
        self.channels_first = source in self.first
        return self.add("penalty", [source], self.shape(source), alpha=l1, rate=l2)


def penalty_of(regularizer: Any) -> tuple[float, float]:
    """Return the factors l1 and l2 of a regularizer, zeros for None."""
    if regularizer is None:
        return 0.0, 0.0
    if type(regularizer) not in (L1, L2, L1L2):
        raise Unsupported(f"the regularizer {type(regularizer).__name__}")
    return float(getattr(regularizer, "l1", 0.0)), float(getattr(regularizer, "l2", 0.0))


def three(values: Any, filler: int) -> list[int]:
    """Return numbers of the spatial axes as those of depth, height and width."""
    return [*[filler] * (3 - len(values)), *map(int, values)]


def _flat(numbers: np.ndarray) -> list[int]:
    return numbers.ravel().tolist()


Rule = Callable[[Builder, Any, list[int], Shape], int]
"""Lowers one call of a layer, given its inputs and the shape of its output (channels last); returns the output."""
