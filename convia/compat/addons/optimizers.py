"""``tensorflow_addons.optimizers``: decay apart from the learning rate, rectified Adam, optimizers around others."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from convia import optimizers, registry
from convia.optimizers.adam import mean_step
from convia.schedules import LearningRateSchedule

PACKAGE = "Addons"  # of the classes in files


def _decoupled(base: Any) -> Any:
    """An optimizer that multiplies weights by 1 − weight_decay before each update, whatever the learning rate."""

    class Decoupled(base):  # type: ignore[misc]
        def __init__(self, weight_decay: Any, *args: Any, exclude_from_weight_decay: Any = None,
                     **kwargs: Any) -> None:  # fmt: skip
            if "lr" in kwargs:
                kwargs["learning_rate"] = kwargs.pop("lr")
            super().__init__(*args, **kwargs)
            self.weight_decay = weight_decay
            if exclude_from_weight_decay:
                self.exclude_from_weight_decay(var_names=list(exclude_from_weight_decay))

        def _decay_weights(self, variables: list[Any], learning_rate: float) -> None:
            decay = self.weight_decay
            if callable(decay):
                decay = decay(self.iterations) if isinstance(decay, LearningRateSchedule) else decay()
            for variable in filter(self._use_weight_decay, variables):
                variable.mul_(1 - float(decay))

    return Decoupled


class AdamW(_decoupled(optimizers.Adam)):  # type: ignore[misc]
    """Adam with decoupled weight decay, which is not multiplied by the learning rate here."""


class SGDW(_decoupled(optimizers.SGD)):  # type: ignore[misc]
    """SGD with decoupled weight decay, which is not multiplied by the learning rate here."""


def extend_with_decoupled_weight_decay(base_optimizer: Any) -> Any:
    """Return a class like another optimizer, with decoupled weight decay as its first argument."""
    return _decoupled(base_optimizer)


class RectifiedAdam(optimizers.Adam):
    """Adam whose step is plain momentum until enough gradients are known to trust √v (Liu et al. 2019)."""

    sma_threshold: float = 5.0
    total_steps: int = 0
    warmup_proportion: float = 0.1
    min_lr: float = 0.0

    def _accept(self, extra: dict[str, Any]) -> None:
        if "lr" in extra:
            self.learning_rate = extra.pop("lr")
        super()._accept(extra)

    def _warmed(self, rate: float) -> float:
        if not self.total_steps:
            return rate
        warm = self.total_steps * self.warmup_proportion
        step = self.local_step
        if step <= warm:
            return rate * step / warm
        rest = max(self.total_steps - warm, 1)
        return rate + (self.min_lr - rate) * min(step - warm, rest) / rest

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, v, *largest = self.slots(variable)
        mean_step(m, v, gradient, self.beta_1, self.beta_2)
        step, decay = self.local_step, self.beta_2**self.local_step
        limit = 2 / (1 - self.beta_2) - 1
        length = limit - 2 * step * decay / (1 - decay)
        rate = self._warmed(learning_rate) / (1 - self.beta_1**step)
        if length < self.sma_threshold:
            variable.sub_(rate * m)
            return
        if largest:
            v = torch.maximum(largest[0], v, out=largest[0])
        share = (length - 4) / (limit - 4) * (length - 2) / (limit - 2) * limit / length
        variable.addcdiv_(m, (v / (1 - decay)).sqrt_().add_(self.epsilon), value=-rate * math.sqrt(share))


class _Around(optimizers.LossScaleOptimizer):
    """An optimizer that updates by another one and then looks after the weights."""

    _own: tuple[str, ...] = ()

    def __init__(self, optimizer: Any, name: str | None = None) -> None:
        super().__init__(optimizers.get(optimizer), name=name)
        self._copies: list[Tensor] = []

    @property
    def variables(self) -> list[Any]:
        """Those of the inner optimizer."""
        inner = self.__dict__.get("inner_optimizer")
        return inner.variables if inner else []

    def build(self, variables: Sequence[Any]) -> None:
        """Make the state of the inner optimizer, and copies of the weights."""
        if not self.built:
            self.inner_optimizer.build(variables)
            optimizers.Optimizer.build(self, variables)
            self._copies = [variable.detach().clone() for variable in self._trainable_variables]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Make one step with the inner optimizer, then look after the weights."""
        self.build(list(trainable_variables or ()))
        self.inner_optimizer.apply(grads, trainable_variables)
        with torch.no_grad():
            self._after(int(self.inner_optimizer.iterations))

    def _after(self, step: int) -> None:
        raise NotImplementedError

    def scale_loss(self, loss: Any) -> Any:
        """Return what the inner optimizer makes of the loss."""
        return self.inner_optimizer.scale_loss(loss)

    def assign_average_vars(self, var_list: Sequence[Any]) -> None:
        """Put the copies in place of the weights."""
        with torch.no_grad():
            for variable, copy in zip(var_list, self._copies, strict=True):
                variable.copy_(copy)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        own = {name: getattr(self, name) for name in self._own}
        return {"optimizer": registry.serialize(self.inner_optimizer), "name": self.name, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make an optimizer, and the inner one, from what ``get_config`` returned."""
        inner = registry.deserialize(config["optimizer"], custom_objects, "keras.optimizers")
        return cls(**{**config, "optimizer": inner})


class Lookahead(_Around):
    """Slow weights that follow the fast ones every few steps, which start again from there (Zhang et al. 2019).

    Args:
        optimizer: of the fast weights.
        sync_period: steps between.
        slow_step_size: how much of the way the slow weights go.
    """

    _own = ("sync_period", "slow_step_size")

    def __init__(self, optimizer: Any, sync_period: int = 6, slow_step_size: float = 0.5, name: str | None = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(optimizer, name)
        self.sync_period, self.slow_step_size = sync_period, slow_step_size

    def _after(self, step: int) -> None:
        if step % self.sync_period == 0:
            for variable, slow in zip(self._trainable_variables, self._copies, strict=True):
                variable.copy_(slow.lerp_(variable, self.slow_step_size))


class MovingAverage(_Around):
    """Keeps exponential averages of the weights; ``assign_average_vars`` puts them in place."""

    _own = ("average_decay",)

    def __init__(self, optimizer: Any, average_decay: float = 0.99, num_updates: Any = None, start_step: int = 0,
                 dynamic_decay: bool = False, name: str | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(optimizer, name)
        self.average_decay, self.start_step = average_decay, start_step

    def _after(self, step: int) -> None:
        share = 1 - self.average_decay if step > self.start_step else 1.0
        for variable, average in zip(self._trainable_variables, self._copies, strict=True):
            average.lerp_(variable, share)


class SWA(_Around):
    """Keeps the mean of the weights every few steps (Izmailov et al. 2018), which ``assign_average_vars`` sets."""

    _own = ("start_averaging", "average_period")

    def __init__(self, optimizer: Any, start_averaging: int = 0, average_period: int = 10, name: str | None = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(optimizer, name)
        self.start_averaging, self.average_period = start_averaging, average_period

    def _after(self, step: int) -> None:
        beyond = step - self.start_averaging
        if beyond >= 0 and beyond % self.average_period == 0:
            count = beyond // self.average_period
            for variable, mean in zip(self._trainable_variables, self._copies, strict=True):
                mean.lerp_(variable, 1 / (count + 1))


class CyclicalLearningRate(LearningRateSchedule):
    """Goes up and down between two rates, the way up scaled by ``scale_fn`` (Smith 2015).

    Args:
        initial_learning_rate, maximal_learning_rate: the two.
        step_size: steps from one to the other.
        scale_fn: of the number of the cycle, or of the step with ``scale_mode="iterations"``.
    """

    def __init__(self, initial_learning_rate: Any, maximal_learning_rate: Any, step_size: Any,
                 scale_fn: Callable[[Any], Any] = lambda x: 1.0, scale_mode: str = "cycle",
                 name: str | None = None) -> None:  # fmt: skip
        super().__init__()
        self.initial_learning_rate, self.maximal_learning_rate = initial_learning_rate, maximal_learning_rate
        self.step_size, self.scale_fn, self.scale_mode, self.name = step_size, scale_fn, scale_mode, name

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step."""
        place = float(step)
        cycle = math.floor(1 + place / (2 * self.step_size))
        share = max(0.0, 1 - abs(place / self.step_size - 2 * cycle + 1))
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else place)
        return self.initial_learning_rate + (self.maximal_learning_rate - self.initial_learning_rate) * share * scale

    def get_config(self) -> dict[str, Any]:
        """Return the arguments but the function."""
        return {name: getattr(self, name) for name in (
            "initial_learning_rate", "maximal_learning_rate", "step_size", "scale_mode")}  # fmt: skip


class TriangularCyclicalLearningRate(CyclicalLearningRate):
    """Cycles of one height."""


class Triangular2CyclicalLearningRate(CyclicalLearningRate):
    """Cycles, each half as high as the one before."""

    def __init__(self, initial_learning_rate: Any, maximal_learning_rate: Any, step_size: Any,
                 scale_mode: str = "cycle", name: str | None = None) -> None:  # fmt: skip
        def halved(cycle: Any) -> float:
            return float(1 / 2.0 ** (cycle - 1))

        super().__init__(initial_learning_rate, maximal_learning_rate, step_size, halved, scale_mode, name)


class ExponentialCyclicalLearningRate(CyclicalLearningRate):
    """Cycles whose height shrinks by ``gamma`` with each step or cycle."""

    def __init__(self, initial_learning_rate: Any, maximal_learning_rate: Any, step_size: Any,
                 scale_mode: str = "iterations", gamma: float = 1.0, name: str | None = None) -> None:  # fmt: skip
        self.gamma = gamma
        super().__init__(initial_learning_rate, maximal_learning_rate, step_size, lambda x: gamma**x, scale_mode, name)


LAMB, LazyAdam = optimizers.Lamb, optimizers.Adam
__all__ = [
    "LAMB", "SGDW", "SWA", "AdamW", "CyclicalLearningRate", "ExponentialCyclicalLearningRate", "LazyAdam", "Lookahead",
    "MovingAverage", "RectifiedAdam", "Triangular2CyclicalLearningRate", "TriangularCyclicalLearningRate",
    "extend_with_decoupled_weight_decay",
]  # fmt: skip
