"""Variables, placeholders, and functions and gradients of symbolic tensors."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from convia import config, ops, symbolic, tree
from convia.backend.phase import learning_phase, learning_phase_scope
from convia.errors import explain
from convia.graph import Graph, Input
from convia.ops.door import tensor
from convia.symbolic import KerasTensor, tracing
from convia.variable import Variable


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Do nothing: names of operations have no prefixes here."""
    yield name


def manual_variable_initialization(value: Any) -> None:
    """Do nothing: variables always have their first value."""


def _standard(dtype: Any) -> Any:
    """Return the name of what Python's own types stand for, other types as they are."""
    return {bool: "bool", int: "int32", float: "float32", str: "string"}.get(dtype, dtype)


def standardize_dtype(dtype: Any) -> str:
    """Return the name of a type given as name, torch or NumPy type; of None the default float type."""
    return config.dtype_name(config.torch_dtype(config.floatx() if dtype is None else _standard(dtype)))


def is_float_dtype(dtype: Any) -> bool:
    """Whether a type is a floating point one."""
    return config.torch_dtype(standardize_dtype(dtype)).is_floating_point


def is_int_dtype(dtype: Any) -> bool:
    """Whether a type holds whole numbers."""
    return "int" in standardize_dtype(dtype)


class _Variable(Variable):
    """A variable for which ``x += y`` makes a new tensor, as programs that sum up losses expect."""

    def __iadd__(self, other: Any) -> Any:  # type: ignore[misc]
        return self + other

    def __isub__(self, other: Any) -> Any:  # type: ignore[misc]
        return self - other

    def __imul__(self, other: Any) -> Any:  # type: ignore[misc]
        return self * other

    def __itruediv__(self, other: Any) -> Any:  # type: ignore[misc]
        return self / other


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """Make a variable from an array, a number or a tensor."""
    return _Variable(tensor(value), dtype=dtype or config.floatx(), name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """Make a tensor of a value, filled up to a shape with its last element."""
    flat: Tensor = tensor(value, dtype or config.floatx())
    if shape is None:
        return flat
    flat, count = flat.flatten(), math.prod(shape)
    return torch.cat([flat, flat[-1:].expand(max(count - len(flat), 0))]).reshape(tuple(shape))


def placeholder(
    shape: Any = None,
    ndim: int | None = None,
    dtype: Any = None,
    sparse: bool = False,
    name: str | None = None,
    ragged: bool = False,
) -> KerasTensor:
    """Return a symbolic tensor that stands for data: of a shape (the batch's size included), or of ``ndim`` axes."""
    return Input(batch_shape=(None,) * (ndim or 0) if shape is None else tuple(shape), dtype=dtype, name=name)


def get_value(x: Any) -> Any:
    """Return the numbers of a tensor or variable as a NumPy array; what is no tensor comes back as it is."""
    return ops.convert_to_numpy(x) if isinstance(x, Tensor) else x.numpy() if hasattr(x, "numpy") else x


def set_value(x: Any, value: Any) -> None:
    """Give a variable another value.

    Raises:
        TypeError: not a variable.
    """
    if not hasattr(x, "assign"):
        raise TypeError(explain("set_value", repr(x), "a variable", "Set the attribute that holds it instead."))
    x.assign(value)


def batch_set_value(tuples: Any) -> None:
    """Give several variables other values: pairs (variable, value)."""
    for x, value in tuples:
        set_value(x, value)


def update(x: Any, new_x: Any) -> Any:
    """Set a variable; with a symbolic value return the pair, for the ``updates`` of :func:`function`."""
    return (x, new_x) if isinstance(new_x, KerasTensor) else x.assign(new_x)


def moving_average_update(x: Any, value: Any, momentum: float) -> Any:
    """Move a variable towards a value: momentum·x + (1 − momentum)·value."""
    return x.assign_sub((x - value) * (1 - momentum))


def count_params(x: Any) -> int:
    """Return the number of elements."""
    return math.prod(x.shape)


def is_keras_tensor(x: Any) -> bool:
    """Whether a value is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def _gradients(loss: Any, variables: list[Any]) -> list[Any]:
    if tracing():
        return [torch.empty_like(x) for x in variables]
    with torch.enable_grad():
        found = torch.autograd.grad(loss.sum(), variables, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(variables, found, strict=True)]


def gradients(loss: Any, variables: Any) -> list[Any]:
    """Return the gradient of the sum of a loss for each variable or tensor, zeros where it does not depend on it.

    Symbolic tensors give symbolic gradients, computed when :func:`function` runs.
    """
    variables = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    found: list[Any] = symbolic.op(_gradients)(loss, variables)
    return found


class _Function:
    """Computes outputs from inputs; see :func:`function`."""

    def __init__(self, inputs: Any, outputs: Any, updates: Any) -> None:
        self._inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self._outputs = outputs
        updates = [(pair if isinstance(pair, (list, tuple)) else (None, pair)) for pair in updates or []]
        self._targets = [target for target, _ in updates]
        wanted = [*tree.flatten(outputs), *(value for _, value in updates)]
        self._known = {index: value for index, value in enumerate(wanted) if not isinstance(value, KerasTensor)}
        self._graph = Graph(
            [x for x in self._inputs if isinstance(x, KerasTensor)],
            [value for value in wanted if isinstance(value, KerasTensor)],
            "K.function",
        )
        functions = [getattr(step.operation, "function", None) for step in self._graph.steps]
        self._differentiates = _gradients in functions
        self._modules = [module for owner in self._graph.layers for module in owner.modules()]

    def __call__(self, inputs: Any) -> Any:
        """Return the outputs for a list of arrays as a list of arrays, or as one array for one output."""
        results = iter(self.tensors(inputs))
        count = len(self._known) + len(self._graph.outputs)
        values = [self._known[index] if index in self._known else next(results) for index in range(count)]
        wanted = len(tree.flatten(self._outputs))
        for target, value in zip(self._targets, values[wanted:], strict=True):
            if target is not None:
                target.assign(value)
        return tree.pack(self._outputs, [get_value(value) for value in values[:wanted]])

    def tensors(self, inputs: Any, learns: bool = False) -> list[Tensor]:
        """Return the symbolic outputs as tensors, those of updates after them; record for gradients if it ``learns``.

        Raises:
            ValueError: another number of inputs.
        """
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(given) != len(self._inputs):
            raise ValueError(explain("K.function", f"{len(given)} inputs", f"{len(self._inputs)}, in a list"))
        phases = [value for value, x in zip(given, self._inputs, strict=True) if not isinstance(x, KerasTensor)]
        data = [
            self._data(value, x) for value, x in zip(given, self._inputs, strict=True) if isinstance(x, KerasTensor)
        ]
        with torch.set_grad_enabled(learns or self._differentiates), self._in_phase(phases):
            return tree.flatten(self._graph.run(data))

    def _data(self, value: Any, x: KerasTensor) -> Tensor:
        data = ops.convert_to_tensor(value, x.dtype).detach()
        fed: Tensor = data.requires_grad_() if self._differentiates and data.is_floating_point() else data
        return fed

    @contextmanager
    def _in_phase(self, phases: list[Any]) -> Iterator[None]:
        """An input that is no tensor is the learning phase, as in ``K.function([x, K.learning_phase()], [y])``."""
        before = {module: module.training for module in self._modules}
        phase = int(bool(phases[0])) if phases else learning_phase()
        try:
            for module in self._modules:
                module.training = bool(phase)
            with learning_phase_scope(phase):
                yield
        finally:
            for module, training in before.items():
                module.training = training


def function(inputs: Any, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any) -> _Function:
    """Make a function of arrays from symbolic inputs and outputs: ``K.function([model.input], [layer.output])``.

    Args:
        inputs: symbolic tensors; ``K.learning_phase()`` among them takes 0 or 1 when the function is called.
        outputs: one symbolic tensor or a list of them.
        updates: pairs (variable, symbolic tensor): what to set after each call.

    Raises:
        ValueError: outputs that need other inputs.
    """
    return _Function(inputs, outputs, updates)
