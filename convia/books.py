"""The books of a layer: its weights, the layers and metrics that its attributes hold, in Keras's order.

Torch keeps modules and parameters by attribute name; Keras also finds layers within lists and dicts, tells trainable
weights from the others, and numbers them. Both see the same tensors.
"""

import sys
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from convia import config, distribution, initializers, symbolic, tree
from convia.errors import explain
from convia.layout import Perm
from convia.metrics import Mean, Metric
from convia.naming import auto_name
from convia.variable import Variable

_PLAIN = (bool, int, float, str, type(None))


def _is_plain(value: tuple[Any, ...]) -> bool:
    """Whether a tuple, which nobody can add to, holds no layer."""
    return all(isinstance(item, _PLAIN) for item in value)


_assignments = 0


def assignments() -> int:
    """Return how often a weight, a layer, or what may hold layers was assigned, to whichever layer."""
    return _assignments


def _note_assignment() -> None:
    global _assignments
    _assignments += 1


class Books(nn.Module):
    """A torch module that knows its weights and layers as Keras does."""

    path: str
    built: bool
    _dtype_policy: config.DTypePolicy
    _input_dtype: torch.dtype
    _name: str | None
    _trainable: bool
    losses: list[Any]
    _tracked: dict[str, None]  # names of attributes that hold layers, in order of assignment
    _trainable_variables: list[Variable]
    _non_trainable_variables: list[Variable]
    _metrics: list[Metric]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        nn.Module.__init__(self)
        quiet = object.__setattr__
        quiet(self, "training", False)  # Keras: a layer called outside fit() does inference
        quiet(self, "_tracked", {})
        quiet(self, "_trainable_variables", [])
        quiet(self, "_non_trainable_variables", [])
        quiet(self, "_metrics", [])
        quiet(self, "_trainable", True)
        quiet(self, "built", False)
        quiet(self, "path", "")
        quiet(self, "_name", None)
        self.dtype_policy = config.dtype_policy()
        return self

    @property
    def name(self) -> str:
        """The layer's name, unique within a model."""
        name = self._name
        if name is None:
            name = auto_name(type(self).__name__)
            object.__setattr__(self, "_name", sys.intern(name))
        return name

    @name.setter
    def name(self, value: str | None) -> None:
        if value is not None and (not isinstance(value, str) or "/" in value):
            raise ValueError(explain(type(self).__name__, f"name={value!r}", "a text without '/'"))
        object.__setattr__(self, "_name", sys.intern(str(value or auto_name(type(self).__name__))))

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return self.dtype_policy.variable_dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.dtype_policy = value

    @property
    def dtype_policy(self) -> config.DTypePolicy:
        """In which type it computes, and in which it keeps its weights; weights that are there stay as they are."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        quiet = object.__setattr__
        quiet(self, "_dtype_policy", config.policy(value))
        quiet(self, "_input_dtype", config.torch_dtype(self.dtype_policy.compute_dtype))
        quiet(self, "_simple", False)  # a call casts the weights where the types differ

    @property
    def variable_dtype(self) -> str:
        """The type of the weights."""
        return self.dtype_policy.variable_dtype

    @property
    def trainable(self) -> bool:
        """Whether the weights learn. Setting it sets it for everything inside, as in Keras."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        object.__setattr__(self, "_trainable", bool(value))
        for variable in self._trainable_variables:
            variable.trainable = value
        for layer in self.sublayers():
            layer.trainable = value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):
            self._track_variable(value)
            if value.trainable or name in self._parameters:
                super().__setattr__(name, value)
            else:
                self.__dict__.pop(name, None)
                self.register_buffer(name, value)
            return
        if isinstance(value, Metric):
            self._metrics.append(value)
        elif isinstance(value, (nn.Module, list, dict)) or (isinstance(value, tuple) and not _is_plain(value)):
            self._tracked[name] = None
            _note_assignment()
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Find weights and modules as torch does, and weights computed from others.

        A property that raises AttributeError keeps its message.
        """
        for books in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(books)
            if found is not None and name in found:
                return found[name]
        computed = self.__dict__.get("_computed")
        if computed is not None and name in computed:
            return computed[name]()
        declared = getattr(type(self), name, None)
        if isinstance(declared, property) and declared.fget is not None:
            return declared.fget(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _track_variable(self, variable: Variable) -> None:
        books = self._trainable_variables if variable.trainable else self._non_trainable_variables
        if not any(variable is known for known in (*self._trainable_variables, *self._non_trainable_variables)):
            books.append(variable)
            _note_assignment()

    def sublayers(self) -> list[Any]:
        """Return the layers held by attributes, also within lists and dicts, in the order of assignment."""
        found: dict[int, Any] = {}
        for name in list(self._tracked):
            value = getattr(self, name, None)
            for position, item in enumerate((value,) if isinstance(value, nn.Module) else tree.flatten(value)):
                if isinstance(item, nn.Module):
                    if name not in self._modules:
                        self._modules.setdefault(f"{name}_{position}", item)
                    found.update({id(layer): layer for layer in _layers_of(item)})
        return list(found.values())

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> Iterator[Any]:
        if include_self:
            yield self
        for layer in self.sublayers():
            yield from layer._flatten_layers() if recursive else (layer,)

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
        *,
        order: Perm | None = None,
    ) -> Variable:
        """Create a weight. ``order`` is the memory order of its axes (see ``layout.py``); the rest is Keras's.

        Args:
            shape: of the weight; () for a number.
            initializer: a name, an object or a function of (shape, dtype=); "glorot_uniform" for None, "zeros" for
                types that are not floating.
            regularizer, constraint: names, objects or functions of the weight.
        """
        dtype = config.dtype_name(dtype or self.variable_dtype)
        default = "glorot_uniform" if "float" in dtype else "zeros"
        with symbolic.outside_tracing(), distribution.place_of_weights():
            variable = Variable(
                initializers.get(initializer if initializer is not None else default),
                shape=() if shape is None else shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
                order=order,
                regularizer=regularizer,
                constraint=constraint,
            )
        variable.path = f"{self.path or self.name}/{variable.name}"
        self._track_variable(variable)
        if not self._trainable:
            variable.trainable = False
        return variable

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Create a weight; another name of :meth:`add_weight`."""
        return self.add_weight(shape, initializer, dtype, trainable, autocast, regularizer, constraint, name=name)

    @property
    def variables(self) -> list[Variable]:
        """All weights, those of the layers inside included, each once."""
        return self.weights

    @property
    def weights(self) -> list[Variable]:
        """All weights: one's own trainable ones, the others, then those of the layers inside."""
        found = {id(v): v for v in (*self._trainable_variables, *self._non_trainable_variables)}
        for layer in self.sublayers():
            found.update({id(v): v for v in layer.weights})
        return list(found.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that learn; none when the layer is frozen."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that do not learn: frozen ones, and statistics."""
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights as NumPy arrays, in Keras's shapes and order."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Set the weights from arrays in the order of ``get_weights``.

        Raises:
            ValueError: a different number of arrays, or one of another shape.
        """
        variables = self.weights
        if len(weights) != len(variables):
            raise ValueError(
                explain(f"Layer {self.name!r}", f"{len(weights)} arrays", f"{len(variables)}, one per weight")
            )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Return the number of weights' elements.

        Raises:
            ValueError: the layer is not built yet, so that its weights do not exist.
        """
        if not self.built and not self.weights:
            raise ValueError(
                explain(
                    f"count_params of {self.name!r}",
                    "a layer that is not built",
                    "a built one",
                    "Call it on data, or build(input_shape) it.",
                )
            )
        return sum(variable.numel() for variable in self.weights)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics held by attributes, also of the layers inside."""
        return [*self._metrics, *(metric for layer in self.sublayers() for metric in layer.metrics)]

    @property
    def metrics_variables(self) -> list[Any]:
        """The state of the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def _register_strays(self) -> None:
        """Register with torch the weights that no attribute holds directly."""
        held = {id(v) for v in (*self._parameters.values(), *self._buffers.values())}
        for variable in (*self._trainable_variables, *self._non_trainable_variables):
            if id(variable) not in held:
                register = self.register_parameter if variable.trainable else self.register_buffer
                register(_free_name(self, variable.name), variable)

    def add_metric(self, value: Any, name: str | None = None, aggregation: str | None = "mean") -> None:
        """Report a number computed in ``call``: its mean over the batches of an epoch, under ``name``."""
        name = name or getattr(value, "name", None) or "metric"
        metric = next((metric for metric in self._metrics if metric.name == name), None)
        if metric is None:
            with symbolic.outside_tracing():
                metric = Mean(name=name)
            self._metrics.append(metric)
        if not isinstance(value, symbolic.KerasTensor) and not symbolic.tracing():
            metric.update_state(value)

    def stateless_call(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call the layer with other values for its weights, which themselves do not change.

        Args:
            trainable_variables, non_trainable_variables: tensors in the order of the properties of these names.
            return_losses: whether to return the penalties as well.

        Returns:
            (outputs, values of the non-trainable variables after the call[, penalties]).

        Raises:
            ValueError: not one tensor per variable.
        """
        own = [*self.trainable_weights, *self.non_trainable_weights]
        given = [*trainable_variables, *(torch.as_tensor(value).clone() for value in non_trainable_variables)]
        if len(given) != len(own):
            raise ValueError(
                explain(f"stateless_call of {self.name!r}", f"{len(given)} tensors", f"{len(own)}, one per variable")
            )
        values = dict(zip(map(id, own), given, strict=True))
        named = [*self.named_parameters(remove_duplicate=False), *self.named_buffers(remove_duplicate=False)]
        with_values = {name: values[id(variable)] for name, variable in named if id(variable) in values}
        outputs = torch.func.functional_call(self, with_values, args, kwargs)
        state = given[len(self.trainable_weights) :]
        return (outputs, state, self.losses) if return_losses else (outputs, state)

    def save_own_variables(self, store: Any) -> None:
        """Write one's own weights (not those of the layers inside) into a dictionary of arrays, by number."""
        store.update({str(index): variable.numpy() for index, variable in enumerate(self._stored_variables())})

    def load_own_variables(self, store: Any) -> None:
        """Read what ``save_own_variables`` wrote.

        Raises:
            ValueError: another number of arrays than the layer has weights.
        """
        own = self._stored_variables()
        if len(store) != len(own):
            raise ValueError(explain(f"Layer {self.name!r}", f"{len(store)} arrays", f"{len(own)}, one per weight"))
        for index, variable in enumerate(own):
            variable.assign(np.asarray(store[str(index)]))
        self._loaded()

    def _stored_variables(self) -> list[Variable]:
        """One's own weights that files hold."""
        return [*self._trainable_variables, *self._non_trainable_variables]

    def _loaded(self) -> None:
        """Derive what depends on weights that were read from a file."""


def _layers_of(module: nn.Module) -> list[Any]:
    """A layer is itself; a foreign torch module is searched for layers."""
    if isinstance(module, Books):
        return [module]
    return [layer for child in module.children() for layer in _layers_of(child)]


def _free_name(module: nn.Module, name: str) -> str:
    taken = {*module._parameters, *module._buffers, *module._modules, *dir(module)}
    free = name.replace(".", "_")
    number = 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
