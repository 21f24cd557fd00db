"""Metric: state that batches add to; and the sums and means that most metrics are."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import torch

from convia import config, initializers, registry, tree
from convia.args import Configured
from convia.errors import explain
from convia.losses.base import ComputeDtype, apply_mask, arguments_of, compute_dtype, mask_of, ratio, weight_message
from convia.losses.inputs import match_ranks, to_tensor
from convia.naming import auto_name, snake_case
from convia.variable import Variable

__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]

Function = Callable[..., torch.Tensor]


class Metric(Configured):
    """Base of all metrics. A subclass makes its state with ``add_variable`` and implements two methods.

    ``update_state(y_true, y_pred, sample_weight=None)`` adds a batch, ``result()`` returns the value so far.

    Args:
        dtype: the type of its state, the default float type without one.
        name: its name in logs; made from the class without one.
    """

    _namespace = "keras.metrics"
    _direction: ClassVar[str | None] = None  # "up" if larger is better, "down" if smaller is
    _unsaved: ClassVar[frozenset[str]] = frozenset()  # arguments that Keras's files lack; written unless at default

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.dtype: Any = compute_dtype(dtype)
        self.name = name
        Metric.__post_init__(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if {"name", "dtype"} <= inspect.get_annotations(cls).keys():
            cls._fields = {}  # a class that declares both anew has an order of arguments of its own
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("convia.") and not cls.__name__.startswith("_"):
            registry.register("keras.metrics", cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        self.name = self.name or auto_name(type(self).__name__)
        self._dtype = config.torch_dtype(self.dtype)
        self._variables: list[Variable] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a part of the state.

        Args:
            shape: its shape.
            initializer: an initializer or its name; zeros without one.
            dtype: the default float type without one.
            aggregation: how copies on several devices are joined.
            name: the last part of its path.

        Raises:
            RuntimeError: ``super().__init__()`` was not called first.
        """
        if "_variables" not in self.__dict__:
            remedy = "Call super().__init__(name=name) first in your __init__()."
            raise RuntimeError(explain(type(self).__name__, "no super().__init__()", "a metric that is set up", remedy))
        first = initializers.get(initializer or "zeros")
        variable = Variable(first, tuple(shape), dtype, trainable=False, aggregation=aggregation, name=name)
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        self.take_up(self.__dict__.get("_awaited", ()))
        return variable

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a part of the state, see ``add_variable``."""
        return self.add_variable(shape, initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state: own variables, then those of metrics that are attributes."""
        found = list(self._variables)
        for value in self.__dict__.values():
            for leaf in tree.flatten(value):
                new = leaf.variables if isinstance(leaf, Metric) else [leaf] if isinstance(leaf, Variable) else []
                found += [variable for variable in new if all(variable is not other for other in found)]
        return found

    def take_up(self, state: Sequence[Any]) -> None:
        """Give the variables, in their order, a state of earlier; when they exist, if they are made by the first batch.

        One that does not fit, as of another metric, is left aside.
        """
        own = self.variables
        self.__dict__["_awaited"] = state if len(own) < len(state) else ()
        if [tuple(variable.shape) for variable in own] == [tuple(array.shape) for array in state]:
            for variable, array in zip(own, state, strict=True):
                variable.assign(array)

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise NotImplementedError(
            explain(
                type(self).__name__,
                "a metric without update_state()",
                "update_state(self, y_true, y_pred, sample_weight=None)",
            )
        )

    def result(self) -> Any:
        """Return the value so far, a tensor."""
        raise NotImplementedError(explain(type(self).__name__, "a metric without result()", "a method result(self)"))

    def reset_state(self) -> None:
        """Set all state to zero."""
        for variable in self.variables:
            variable.data.zero_()

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """Return the state that follows ``metric_variables`` after a batch; the metric itself does not change."""
        with self._state(metric_variables):
            self.update_state(*args, **kwargs)
            return [variable.detach().clone() for variable in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Return the value of a state."""
        with self._state(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[torch.Tensor]:
        """Return the state of a fresh metric."""
        with self._state(self.variables):
            self.reset_state()
            return [variable.detach().clone() for variable in self.variables]

    @contextmanager
    def _state(self, values: Sequence[Any]) -> Iterator[None]:
        own = self.variables
        if len(values) != len(own):
            raise ValueError(
                explain(
                    type(self).__name__, f"{len(values)} metric_variables", f"{len(own)}, one for each of .variables"
                )
            )
        saved = [variable.data for variable in own]
        try:
            for variable, value in zip(own, values, strict=True):
                variable.data = torch.as_tensor(value, dtype=variable.dtype, device=variable.device).detach().clone()
            yield
        finally:
            for variable, data in zip(own, saved, strict=True):
                variable.data = data

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        defaults = {name: field.default for name, field in self._fields.items()}
        return {k: v for k, v in super().get_config().items() if k not in self._unsaved or v != defaults[k]}

    def _add(self, variable: Variable, amount: torch.Tensor) -> None:
        """Add to a variable in place; the whole state moves to the device of what is added."""
        if amount.device != variable.device:
            for own in self.variables:
                own.data = own.data.to(amount.device)
        variable.add_(amount)


def add_fields_first(cls: Any, **fields: tuple[Any, Any]) -> None:
    """Declare fields (type, default) of a class before those of its body, unless they are among them."""
    hints = inspect.get_annotations(cls)
    new = {name: hint for name, (hint, _) in fields.items() if name not in hints}
    for name in new:
        if name not in cls.__dict__:
            setattr(cls, name, fields[name][1])
    cls.__annotations__ = {**new, **hints}


def float_tensor(value: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a tensor of a floating type, without gradient."""
    value = to_tensor(value, dtype)
    if value.requires_grad:
        value = value.detach()
    numbers: torch.Tensor = value if value.is_floating_point() else value.to(config.torch_dtype(config.floatx()))
    return numbers


def _per_sample(values: torch.Tensor, weight: torch.Tensor, reduce: Function) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weighted values and weights, both (N,); axes that weights lack are reduced first."""
    values, weight = match_ranks(values, weight)
    if values.ndim > weight.ndim:
        values = reduce(values, tuple(range(weight.ndim, values.ndim)))
    try:
        weight = weight.expand(values.shape)
    except RuntimeError:
        raise ValueError(weight_message("metric", weight, values, "values")) from None
    values = values * weight
    if values.ndim > 1:
        inner = tuple(range(1, values.ndim))
        return reduce(values, inner), reduce(weight, inner)
    return values, weight


class Sum(Metric):
    """Sum of all values (times their weights)."""

    name: str | None = "sum"
    dtype: ComputeDtype = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.add_variable((), None, self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values, (N, …) with weights (N,) or like the values."""
        mask = mask_of(values)
        values = float_tensor(values, self._dtype)
        if sample_weight is not None:
            values, _ = _per_sample(values, _weights(sample_weight, mask, values), torch.sum)
        self._add(self.total, values.sum())

    def result(self) -> torch.Tensor:
        """Return the sum so far."""
        return self.total.detach().clone()


def _weights(sample_weight: Any, mask: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    weight = to_tensor(sample_weight, values.dtype, values)
    return weight if mask is None else apply_mask(weight, mask, values.dtype, "sum")


class Mean(Metric):
    """Mean of all values (weighted)."""

    name: str | None = "mean"
    dtype: ComputeDtype = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.add_variable((), None, self.dtype, name="total")
        self.count = self.add_variable((), None, self.dtype, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values, (N, …) with weights (N,) or like the values; inner axes are averaged."""
        mask = mask_of(values)
        values = float_tensor(values, self._dtype)
        if sample_weight is not None:
            values, weight = _per_sample(values, _weights(sample_weight, mask, values), torch.mean)
            self._add(self.total, values.sum())
            self._add(self.count, weight.sum())
            return
        total = values.sum()
        count = values.shape[0] if values.ndim else 1
        if values.ndim > 1:
            total = total * (count / max(values.numel(), 1))
        self._add(self.total, total)
        self.count.add_(count)

    def result(self) -> torch.Tensor:
        """Return the mean so far, 0 before the first value."""
        return ratio(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of a function (y_true, y_pred, **arguments) → one value per example.

    A subclass names its function. Its arguments are the function's own, or those that it declares in its body; name
    and dtype come before them::

        class BinaryAccuracy(MeanMetricWrapper, function=binary_accuracy, direction="up"):
            ...

    Args:
        fn: the function. name, dtype: see :class:`Metric`. **kwargs: passed to every call of the function.
    """

    _function: ClassVar[Function | None] = None

    def __init_subclass__(
        cls, function: Function | None = None, name: str | None = None, direction: str | None = None, **kwargs: Any
    ) -> None:
        if function is not None:
            cls._function = staticmethod(function)
            cls._direction = direction
            if cls.__module__.startswith("convia.") and not registry.home(function):
                registry.register("keras.metrics.functions", function)
            name = name or snake_case(cls.__name__)
            own = arguments_of(cls, function)
            add_fields_first(cls, name=(str | None, name), dtype=(ComputeDtype, None), **own)
        super().__init_subclass__(**kwargs)

    def __init__(self, fn: Function, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        self.name, self.dtype = name, compute_dtype(dtype)
        if registry.home(fn) and registry.home(fn)[0] == "keras.losses":  # type: ignore[index]
            self._direction = "down"  # type: ignore[misc]
        self._wrap(fn, kwargs)

    def __post_init__(self) -> None:
        assert self._function is not None
        accepted = inspect.signature(self._function).parameters
        self._wrap(self._function, {name: getattr(self, name) for name in self._fields if name in accepted})

    def _wrap(self, function: Function, arguments: dict[str, Any]) -> None:
        self._fn, self._arguments = function, arguments
        super().__post_init__()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the function's values of a batch, with weights (N,) or like the values."""
        mask = mask_of(y_pred)
        if isinstance(y_pred, torch.Tensor) and y_pred.requires_grad:
            y_pred = y_pred.detach()
        values = self._fn(y_true, y_pred, **self._arguments)
        if mask is not None:
            weight = None if sample_weight is None else to_tensor(sample_weight, self._dtype, mask)
            sample_weight = apply_mask(weight, mask, self._dtype, "sum")
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values; those of a wrapped function beside ``fn``."""
        if self._function is not None:
            return super().get_config()
        arguments = registry.serialize(self._arguments)
        return {"name": self.name, "dtype": self.dtype, "fn": registry.serialize(self._fn), **arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a metric from what ``get_config`` returned."""
        if "fn" in config:
            config = {**config, "fn": find_function(config["fn"])}
        return cls(**config)


def find_function(identifier: Any) -> Function:
    """Return the function of a config: one of metrics, of losses, or the user's own."""
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        identifier = identifier["config"]
    own = registry.lookup("keras.metrics.functions", identifier) if isinstance(identifier, str) else None
    function: Function = own or registry.find("keras.losses", identifier, "MeanMetricWrapper")
    return function
