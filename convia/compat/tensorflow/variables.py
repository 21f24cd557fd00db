"""``tf.Variable``, and ``tf.Module``, which gathers the variables of its attributes."""

import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch

from convia import variable
from convia.compat.door import from_outside
from convia.compat.tensorflow import graphs, shown
from convia.compat.tensorflow.door import given, torch_dtype
from convia.compat.tensorflow.shapes import TensorShape
from convia.errors import explain
from convia.layer import Layer
from convia.symbolic import KerasTensor


def _start(initial_value: Any) -> Any:
    """The first value of a variable: what a function returns, and what a symbolic tensor is in a run."""
    is_function = callable(initial_value) and not isinstance(initial_value, (torch.Tensor, KerasTensor))
    value = initial_value() if is_function else initial_value
    return graphs.evaluate([value], {})[0].detach() if isinstance(value, KerasTensor) else value


def _read(self: Any) -> Any:
    return graphs.deferred(torch.clone, (self,)) if graphs.is_deferring() else self.clone()


class _AnyVariable(type(torch.nn.Parameter)):  # type: ignore[misc]
    """``isinstance(x, tf.Variable)`` holds for every variable, a layer's weights included."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, variable.Variable)


class Variable(variable.Variable, metaclass=_AnyVariable):
    """A tensor that can be assigned to; tapes watch it, optimizers and layers take it.

    Args:
        initial_value: a tensor, array or number, or a function without arguments that returns one.
        trainable: whether gradients are computed for it.
        dtype: by default that of the value.
        shape: accepted; the shape is that of the value.

    Raises:
        ValueError: no value.
    """

    def __new__(
        cls,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
        experimental_enable_variable_lifting: bool = True,
        collections: Any = None,
        expected_shape: Any = None,
        is_full: bool = False,
    ) -> "Variable":
        if initial_value is None:
            raise ValueError(explain("tf.Variable, argument 'initial_value'", None, "a value"))
        value = given(_start(initial_value), dtype)
        kind = torch_dtype(dtype) or value.dtype
        if graphs.in_use() and not is_full:
            name = graphs.state().prefix + graphs.unique((name or "Variable").rstrip("/"))
        trains = trainable is not False
        self = super().__new__(cls, value, dtype=kind, trainable=trains, name=name or "Variable", constraint=constraint)
        if graphs.in_use():
            self.__dict__["_first"] = initial_value
        graphs.state().variables.append(weakref.ref(self))
        return self  # type: ignore[return-value]

    def start(self) -> None:
        """Give it its first value, which it has from the start; from the second call on it is drawn anew."""
        if "_first" in self.__dict__ and self.__dict__.setdefault("_is_started", False):
            super().assign(given(_start(self.__dict__["_first"]), self.dtype).detach())
        self.__dict__["_is_started"] = True

    @property
    def initializer(self) -> Any:
        """The operation that gives it its first value."""
        return graphs.Operation(self.start)

    @property
    def op(self) -> Any:
        """What makes it; it has a name."""
        return SimpleNamespace(name=self.path, type="VariableV2")

    def read_value(self) -> Any:
        """Return the numbers as they are now."""
        return _read(self)

    def value(self) -> Any:  # type: ignore[override]
        """Return the numbers as they are now."""
        return _read(self)

    def initialized_value(self) -> Any:
        """Return the numbers as they are now."""
        return _read(self)

    def assign(self, value: Any, use_locking: bool = False, name: Any = None, read_value: bool = True) -> "Variable":
        """Set all elements, in place."""
        if graphs.is_deferring() and from_outside():
            return graphs.operation(super().assign, value)  # type: ignore[return-value]
        return super().assign(given(value).detach())  # type: ignore[return-value]

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: Any = None, read_value: bool = True
    ) -> "Variable":
        """Add to all elements, in place."""
        if graphs.is_deferring() and from_outside():
            return graphs.operation(super().assign_add, delta)  # type: ignore[return-value]
        return super().assign_add(given(delta))  # type: ignore[return-value]

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: Any = None, read_value: bool = True
    ) -> "Variable":
        """Subtract from all elements, in place."""
        if graphs.is_deferring() and from_outside():
            return graphs.operation(super().assign_sub, delta)  # type: ignore[return-value]
        return super().assign_sub(given(delta))  # type: ignore[return-value]

    def scatter_nd_update(self, indices: Any, updates: Any, name: Any = None) -> "Variable":
        """Set the elements at indices, in place."""
        with torch.no_grad():
            self[tuple(given(indices).long().unbind(-1))] = given(updates, self.dtype)
        return self

    def get_shape(self) -> TensorShape:
        """Return the shape."""
        return TensorShape(tuple(self.shape))

    def __repr__(self) -> str:  # type: ignore[override]
        return shown.named(f"{self.name}:0", self)


class Module:
    """Base of classes that hold variables: it finds those of its attributes, also within lists and dicts."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name or type(self).__name__.lower()

    @property
    def name(self) -> str:
        """Its name."""
        return getattr(self, "_name", type(self).__name__.lower())

    @property
    def name_scope(self) -> Any:
        """A block that prefixes nothing."""
        return torch.autograd.profiler.record_function(self.name)

    def _found(self) -> Iterator[Any]:
        """The variables, layers and modules of its attributes, each once."""
        seen: set[int] = set()
        stack = [self.__dict__[name] for name in sorted(self.__dict__, reverse=True)]
        while stack:
            value = stack.pop()
            if isinstance(value, dict):
                stack += reversed(list(value.values()))
            elif isinstance(value, (list, tuple)):
                stack += reversed(value)
            elif isinstance(value, (variable.Variable, Layer, Module)) and id(value) not in seen:
                seen.add(id(value))
                yield value

    def _variables(self, trainable: bool) -> tuple[Any, ...]:
        found: dict[int, Any] = {}
        for value in self._found():
            inner = (
                [value]
                if isinstance(value, variable.Variable)
                else value.trainable_variables
                if trainable
                else value.variables
            )
            found.update({id(v): v for v in inner if v.trainable or not trainable})
        return tuple(found.values())

    @property
    def variables(self) -> tuple[Any, ...]:
        """All variables, in the order of the attributes' names."""
        return self._variables(trainable=False)

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        """The variables that learn."""
        return self._variables(trainable=True)

    @property
    def non_trainable_variables(self) -> tuple[Any, ...]:
        """The variables that do not learn."""
        return tuple(v for v in self.variables if not v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules and layers within, at any depth."""
        own = [value for value in self._found() if isinstance(value, (Module, Layer))]
        deeper = [inner for value in own if isinstance(value, Module) for inner in value.submodules]
        return (*own, *deeper)

    @classmethod
    def with_name_scope(cls, method: Any) -> Any:
        """Return the method as it is."""
        return method


__all__ = ["Module", "Variable"]
