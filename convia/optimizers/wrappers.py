"""Optimizers around optimizers: dynamic loss scaling, and different rules for different variables."""

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Self

import torch

from convia import registry
from convia.args import parameters
from convia.errors import explain
from convia.optimizers.base import Optimizer
from convia.optimizers.scalar import Scalar


class LossScaleOptimizer(Optimizer):
    """Scales the loss so that half-precision gradients do not underflow (Micikevicius et al. 2017, arXiv:1710.03740).

    A step with an infinite or NaN gradient is skipped and the scale halved; after ``dynamic_growth_steps`` good ones in
    a row it is doubled.

    Args:
        inner_optimizer: the optimizer that updates.
        initial_scale: the first scale.
        dynamic_growth_steps: good steps until the scale is doubled.
        name: prefix of the names of its own variables.

    Raises:
        ValueError: an argument that belongs to the inner optimizer.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse_options(kwargs)
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.inner_optimizer.loss_scale_factor = None

    def build(self, variables: Sequence[Any]) -> None:
        """Make the state of both optimizers."""
        if self.built:
            return
        self.step_counter = self._add(Scalar(0, "int32", "step_counter"))
        self.dynamic_scale = self._add(Scalar(self.initial_scale, "float32", "dynamic_scale"))
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[Any]:
        """Its own two numbers and counters, then the inner optimizer's variables."""
        inner = self.__dict__.get("inner_optimizer")
        return super().variables + (inner.variables if inner else [])

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Undo the scale and make one step with the inner optimizer, or skip it and halve the scale."""
        if not self.built:
            self.build(list(trainable_variables or ()))
        if self.check_finite(grads):
            grads = [None if gradient is None else gradient / self.dynamic_scale.number for gradient in grads]
            self.inner_optimizer.apply(grads, trainable_variables)
            grows = self.step_counter.number == self.dynamic_growth_steps - 1
            self.step_counter.assign(0 if grows else self.step_counter.number + 1)
            self.dynamic_scale.assign(self.dynamic_scale.number * (2 if grows else 1))
        else:
            self.step_counter.assign(0)
            self.dynamic_scale.assign(self.dynamic_scale.number / 2)

    def check_finite(self, grads: Sequence[Any]) -> bool:
        """Whether all gradients are finite."""
        finite = [torch.isfinite(gradient).all() for gradient in grads if gradient is not None]
        return bool(torch.stack(finite).all()) if finite else True

    @property  # type: ignore[misc]
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "inner_optimizer" in self.__dict__:
            self.inner_optimizer.learning_rate = value
        else:
            self._learning_rate = Scalar(value, "float32", "learning_rate")

    @property  # type: ignore[misc]
    def iterations(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times the current scale."""
        return loss * (self.dynamic_scale.number if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Let the inner optimizer put its moving averages in place."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        own = ("name", "inner_optimizer", "initial_scale", "dynamic_growth_steps")
        return {name: registry.serialize(getattr(self, name)) for name in own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make an optimizer, and the inner one, from what ``get_config`` returned."""
        inner = registry.deserialize(config["inner_optimizer"], custom_objects, "keras.optimizers")
        return cls(**{**config, "inner_optimizer": inner})


def _refuse_options(options: dict[str, Any]) -> None:
    """Accept the base's arguments at their defaults only, and ``dynamic=True``."""
    neutral: dict[str, Any] = {name: None for name in parameters(Optimizer) if name not in ("learning_rate", "name")}
    neutral |= {"use_ema": False, "ema_momentum": 0.99, "dynamic": True}
    for name, value in options.items():
        if name not in neutral or value != neutral[name]:
            remedy = "Use loss_scale_factor there for a fixed scale." if name == "dynamic" else ""
            expected = f"{name} on the inner_optimizer"
            raise ValueError(explain("LossScaleOptimizer", f"the argument {name}={value!r}", expected, remedy))


class OptimizerMap(MutableMapping[str, Any]):
    """Which optimizer is for which variable: the path itself or a regular expression that matches all of it.

    Args:
        default_optimizer: for variables that nothing matches.
        optimizer_map: path or expression → optimizer.

    Raises:
        TypeError: the default is not an optimizer, or the map not a dictionary.
        ValueError: on looking up, several expressions match; on setting, the key is there already, or the value is no
            plain optimizer.
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(
                explain("OptimizerMap, argument 'default_optimizer'", repr(default_optimizer), "an Optimizer")
            )
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(explain("OptimizerMap, argument 'optimizer_map'", repr(optimizer_map), "a dictionary"))
        self.default_optimizer = default_optimizer
        self._optimizer_map = optimizer_map or {}

    def __getitem__(self, key: str) -> Any:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        matches = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(matches) > 1:
            raise ValueError(explain("OptimizerMap", f"{len(matches)} matches for {key!r}: {matches}", "one at most"))
        return self._optimizer_map[matches[0]] if matches else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Any) -> None:
        if not isinstance(key, str) or key in self._optimizer_map:
            raise ValueError(explain("OptimizerMap", f"the key {key!r}", "a string that is not there yet"))
        _check_plain("OptimizerMap", optimizer)
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def __call__(self, variable: Any) -> Any:
        """Return the optimizer of a variable."""
        return self[getattr(variable, "path", "")]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        return {
            "default_optimizer": registry.serialize(self.default_optimizer),
            "optimizer_map": registry.serialize(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make a map and its optimizers from what ``get_config`` returned."""
        return cls(**registry.deserialize(config, custom_objects, "keras.optimizers"))


registry.register("keras.optimizers", OptimizerMap)


def _check_plain(who: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise ValueError(explain(who, repr(optimizer), "an Optimizer, neither LossScaleOptimizer nor MultiOptimizer"))


class MultiOptimizer(Optimizer):
    """Updates different variables by different optimizers.

    Args:
        optimizer_map: an OptimizerMap, or a function from variable to optimizer.
        loss_scale_factor: given to all of them.
        name: prefix of the names of its own variables.

    Raises:
        ValueError: on building, a variable's optimizer is no plain optimizer.
    """

    def __init__(self, optimizer_map: Any, loss_scale_factor: float | None = None, name: str | None = None) -> None:
        self.optimizers: list[Optimizer] = []
        super().__init__(0.0, name=name)
        self.optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            self.optimizers += list(dict.fromkeys([*optimizer_map.values(), optimizer_map.default_optimizer]))
        self.loss_scale_factor = loss_scale_factor

    @property  # type: ignore[misc]
    def loss_scale_factor(self) -> float | None:
        """The loss is multiplied by this; set it and it is set on all optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self.optimizers:
            optimizer.loss_scale_factor = value

    def build(self, variables: Sequence[Any]) -> None:
        """Find each variable's optimizer and make all their state."""
        if self.built:
            return
        super().build(variables)
        self._places: list[int] = []  # of each variable's optimizer
        for variable in self._trainable_variables:
            optimizer = self.optimizer_map(variable)
            _check_plain(self.name, optimizer)
            if optimizer not in self.optimizers:
                optimizer.loss_scale_factor = self.loss_scale_factor
                self.optimizers.append(optimizer)
            self._places.append(self.optimizers.index(optimizer))
        for optimizer, pairs in self._shared_out(self._trainable_variables, self._trainable_variables):
            optimizer.build([variable for variable, _ in pairs])

    def _shared_out(
        self, items: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[Optimizer, list[tuple[Any, Any]]]]:
        """Return each optimizer that has variables, with its (item, variable) pairs."""
        shares: list[list[tuple[Any, Any]]] = [[] for _ in self.optimizers]
        for item, variable in zip(items, variables, strict=True):
            shares[self._places[self._index[id(variable)]]].append((item, variable))
        return [(optimizer, share) for optimizer, share in zip(self.optimizers, shares, strict=True) if share]

    @property
    def variables(self) -> list[Any]:
        """Its own counters, then the variables of each optimizer."""
        return super().variables + [variable for inner in self.optimizers for variable in inner.variables]

    @property  # type: ignore[misc]
    def learning_rate(self) -> Any:
        """There is none: each optimizer has its own.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(explain("MultiOptimizer", "a request for learning_rate", "one to a member of .optimizers"))

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "_learning_rate" in self.__dict__:
            raise AttributeError(explain("MultiOptimizer", "a learning_rate", "one for a member of .optimizers"))
        self._learning_rate = Scalar(value, "float32", "learning_rate")

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Make one step with each optimizer."""
        variables = self._known(len(grads), trainable_variables)
        for optimizer, pairs in self._shared_out(grads, variables):
            optimizer.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        self._iterations.number += 1

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Let each optimizer put its moving averages in place."""
        for optimizer, pairs in self._shared_out(var_list, var_list):
            optimizer.finalize_variable_values([variable for variable, _ in pairs])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        table = self.optimizer_map
        if isinstance(table, OptimizerMap):
            config: Any = {
                "module": "keras.optimizers",
                "class_name": "OptimizerMap",
                "config": table.get_config(),
                "registered_name": None,
            }
        else:
            config = registry.serialize(table)
        return {"optimizer_map": config, "loss_scale_factor": self.loss_scale_factor, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make the optimizers from what ``get_config`` returned."""
        table = registry.deserialize(config["optimizer_map"], custom_objects, "keras.optimizers")
        return cls(**{**config, "optimizer_map": table})


__all__ = ["LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"]
