"""What an optimizer remembers: the count of steps, the learning rate, and tensors beside each variable ("slots")."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import torch

from convia import config, registry
from convia.errors import explain
from convia.optimizers.scalar import Scalar
from convia.schedules import LearningRateSchedule
from convia.variable import Variable


def path_of(variable: Any) -> str:
    """Return what a variable is called in messages."""
    return getattr(variable, "path", None) or f"tensor of shape {tuple(variable.shape)}"


class OptimizerState:
    """The state of an optimizer, in Keras's order: iteration, learning_rate, then what ``build`` adds."""

    name: str
    gradient_accumulation_steps: int | None
    built: bool
    _iterations: Scalar
    _learning_rate: Any
    _added: list[Any]
    _trainable_variables: list[Any]
    _index: dict[int, int]  # id of a variable → its place; ids do not outlive the process
    _slots: list[tuple[Any, ...]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self.built = False
        self._iterations = Scalar(0, "int32", "iteration")
        self._added, self._trainable_variables, self._slots = [], [], []
        self._index = {}
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_index"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._index = {id(variable): place for place, variable in enumerate(self._trainable_variables)}

    def slots(self, variable: Any) -> tuple[Any, ...]:
        """Return the tensors kept for a variable, in the order of ``slot_groups``."""
        return self._slots[self._get_variable_index(variable)]

    def _get_variable_index(self, variable: Any) -> int:
        """Return the place of a variable in the list that the optimizer was built with.

        Raises:
            ValueError: it is not there.
        """
        place = self._index.get(id(variable))
        if place is None:
            received = f"the unknown variable {path_of(variable)!r}"
            remedy = "Make a new optimizer for new variables; compile() again after unfreezing."
            raise ValueError(explain(f"{self.name}.apply", received, "variables it was built with", remedy))
        return place

    @property
    def iterations(self) -> Any:
        """The number of steps taken; with gradient accumulation, of updates made."""
        every = self.gradient_accumulation_steps
        return self._iterations.number // every if every else self._iterations

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._iterations.assign(value)

    @property
    def local_step(self) -> int:
        """The number of the update being made, from 1: t in the formulas."""
        every = self.gradient_accumulation_steps
        step: int = self._iterations.number // every + 1 if every else self._iterations.number + 1
        return step

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a number with ``assign``, or what the schedule gives after the steps so far.

        Set it to a number, a schedule or a function without arguments.

        Raises:
            TypeError: a number is set where a schedule is in charge.
        """
        rate = self._learning_rate
        return rate if isinstance(rate, Scalar) else self._scheduled()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        old = self.__dict__.get("_learning_rate")
        if callable(value):
            self._learning_rate = value
        elif isinstance(old, Scalar):
            old.assign(self._number(value))
        elif isinstance(old, LearningRateSchedule):
            raise TypeError(
                explain(
                    f"{self.name}.learning_rate",
                    f"{value!r}, while {type(old).__name__} decides the learning rate",
                    "another schedule",
                    "To set numbers, make the optimizer with a number.",
                )
            )
        else:
            self._learning_rate = Scalar(self._number(value), config.floatx(), "learning_rate")

    def _number(self, value: Any) -> float:
        given = value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value
        if not isinstance(given, Real) or isinstance(given, bool):
            raise ValueError(
                explain(
                    f"{type(self).__name__}, argument 'learning_rate'",
                    repr(value),
                    "a number, a LearningRateSchedule, or a function that returns a number",
                )
            )
        return float(given)

    def _scheduled(self) -> Any:
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(torch.tensor(self._iterations.number))
        return rate()

    def _rate(self) -> float:
        rate = self._learning_rate
        return rate.number if isinstance(rate, Scalar) else float(self._scheduled())

    @property
    def variables(self) -> list[Any]:
        """All state that is saved: iteration, learning_rate (unless scheduled), then the slots."""
        rate = [self._learning_rate] if isinstance(self._learning_rate, Scalar) else []
        return [self._iterations, *rate, *self._added]

    def _add(self, variable: Any) -> Any:
        variable.path = f"{self.name}/{variable.name}"
        self._added.append(variable)
        return variable

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Any:
        """Add state of any shape; ``aggregation`` and ``layout`` are accepted and mean nothing here."""
        dtype = config.torch_dtype("int32" if dtype == "int" else dtype or config.floatx())
        data = _filled(torch.empty(tuple(shape), dtype=dtype, device=config.device()), initializer)
        return self._add(Variable(data, dtype=dtype, trainable=False, name=name or "variable"))

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Any:
        """Add state of a variable's shape, type, device and memory order.

        Args:
            reference_variable: the model's variable, or any tensor.
            name: what it is, such as "momentum".
            initializer: a name, a number for all elements, or a function of (shape, dtype).
        """
        owner = getattr(reference_variable, "path", None) or "variable"
        data = _filled(torch.empty_like(reference_variable, requires_grad=False), initializer)
        full_name = f"{owner.replace('/', '_')}_{name or 'var'}"
        variable = Variable(data, dtype=data.dtype, trainable=False, name=full_name)
        if variable.device != data.device:
            variable.data = data
        return self._add(variable)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Any], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """Add state of one name for each variable, or of several names, variable by variable.

        Returns:
            A list, one per variable; with a list of names, one such list per name.

        Raises:
            ValueError: names and initializers differ in number.
        """
        names = [name] if isinstance(name, str) else list(name)
        initializers = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(names) != len(initializers):
            raise ValueError(
                explain(
                    f"{self.name}.add_optimizer_variables",
                    f"{len(names)} names and {len(initializers)} initializers",
                    "as many initializers as names",
                )
            )
        rows = [
            [self.add_variable_from_reference(variable, *pair) for pair in zip(names, initializers, strict=True)]
            for variable in trainable_variables
        ]
        columns = tuple([row[place] for row in rows] for place in range(len(names)))
        return columns[0] if isinstance(name, str) else columns

    def assign(self, variable: Any, value: Any) -> None:
        """Set a variable of the model or of the optimizer, in place."""
        with torch.no_grad():
            variable.copy_(torch.as_tensor(value, device=variable.device))

    def assign_add(self, variable: Any, value: Any) -> None:
        """Add to a variable, in place."""
        with torch.no_grad():
            variable.add_(torch.as_tensor(value, device=variable.device))

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Subtract from a variable, in place."""
        with torch.no_grad():
            variable.sub_(torch.as_tensor(value, device=variable.device))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all of ``variables``.

        Raises:
            ValueError: not built yet, or a shape or the number of weights differs.
        """
        if not self.built:
            raise ValueError(
                explain(
                    f"{self.name}.set_weights",
                    "weights before the optimizer is built",
                    "a built optimizer",
                    "Call optimizer.build(model.trainable_variables) first.",
                )
            )
        if len(weights) != len(self.variables):
            raise ValueError(
                explain(f"{self.name}.set_weights", f"{len(weights)} weights", f"{len(self.variables)} of them")
            )
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(_array(weight))

    def save_own_variables(self, store: Any) -> None:
        """Write ``variables`` to a dictionary or HDF5 group under "0", "1", …"""
        for place, variable in enumerate(self.variables):
            store[str(place)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Read ``variables`` back; where their number differs, warn and leave the state as it is."""
        if len(store.keys()) != len(self.variables):
            hint = "" if self.built else " The optimizer has not been built yet; call its build(variables) first."
            warnings.warn(
                explain(
                    f"Optimizer {self.name!r}",
                    f"{len(store.keys())} saved variables",
                    f"{len(self.variables)}",
                    f"They are skipped.{hint}",
                ),
                stacklevel=2,
            )
            return
        for place, variable in enumerate(self.variables):
            variable.assign(_array(store[str(place)]))

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return (variables, optimizer_variables) after one step from the given values; nothing is changed.

        Raises:
            ValueError: not built yet, or the lists do not match those that the optimizer was built with.
        """
        ours = [*self._trainable_variables, *self.variables]
        given = [*trainable_variables, *optimizer_variables]
        if not self.built or len(given) != len(ours) or len(trainable_variables) != len(self._trainable_variables):
            raise ValueError(
                explain(
                    f"{self.name}.stateless_apply",
                    f"{len(trainable_variables)} variables and {len(optimizer_variables)} optimizer variables",
                    f"{len(self._trainable_variables)} and {len(self.variables)}, after build(variables)",
                )
            )
        before = [_snapshot(variable) for variable in ours]
        try:
            for variable, value in zip(ours, given, strict=True):
                self._set(variable, value)
            self.apply(grads)
            after = [_snapshot(variable) for variable in ours]
        finally:
            for variable, value in zip(ours, before, strict=True):
                self._set(variable, value)
        return after[: len(trainable_variables)], after[len(trainable_variables) :]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Make one step; see Optimizer."""
        raise NotImplementedError

    def _set(self, variable: Any, value: Any) -> None:
        if isinstance(variable, Scalar):
            variable.assign(value)
        else:
            self.assign(variable, value)


def _array(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else np.asarray(value)


def _snapshot(variable: Any) -> torch.Tensor:
    return variable.value if isinstance(variable, Scalar) else variable.detach().clone()


def _filled(data: torch.Tensor, initializer: Any) -> torch.Tensor:
    if isinstance(initializer, str) and initializer == "zeros":
        return data.zero_()
    if isinstance(initializer, (int, float)):
        return data.fill_(initializer)
    make = registry.find("keras.initializers", initializer, "Optimizer, argument 'initializer'")
    return data.copy_(make(tuple(data.shape), dtype=config.dtype_name(data.dtype)))
