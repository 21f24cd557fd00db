"""Learning-rate schedules: the rate as a function of the number of steps taken.

Formulas are evaluated in double precision, on one step or on an array of them (to plot a schedule, pass ``np.arange``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from convia import config, registry
from convia.args import Configured
from convia.errors import explain

Steps = Any  # float64 number or array


class LearningRateSchedule(Configured):
    """Base of schedules. Your own one overrides ``__call__(step)``, where step is a 0-d integer tensor."""

    _namespace = "keras.optimizers.schedules"

    def __call__(self, step: Any) -> Any:
        """Return the learning rate after ``step`` steps, in the shape of ``step``, as a tensor."""
        if isinstance(step, torch.Tensor):
            step = step.detach().cpu()
        return torch.as_tensor(self.rate(np.asarray(step, np.float64)), dtype=config.torch_dtype(config.floatx()))

    def rate(self, step: Steps) -> Steps:
        """Return the learning rate after ``step`` steps; here the library's own schedules state their formula."""
        raise NotImplementedError(
            explain(type(self).__name__, "a schedule without a formula", "one that overrides __call__(self, step)")
        )


class _Decay(LearningRateSchedule):
    """A schedule over a number of steps, which must be positive."""

    _length = "decay_steps"

    def __post_init__(self) -> None:
        if getattr(self, self._length) <= 0:
            raise ValueError(
                explain(
                    f"{type(self).__name__}, argument {self._length!r}",
                    repr(getattr(self, self._length)),
                    "a number of steps > 0",
                )
            )


class ExponentialDecay(_Decay):
    """initial · decay_rate^(step / decay_steps); with ``staircase`` the exponent is rounded down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        return self.initial_learning_rate * self.decay_rate ** _periods(step, self.decay_steps, self.staircase)


class InverseTimeDecay(_Decay):
    """initial / (1 + decay_rate · step / decay_steps); with ``staircase`` the quotient is rounded down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        return self.initial_learning_rate / (1 + self.decay_rate * _periods(step, self.decay_steps, self.staircase))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], the last value after the last boundary.

    Raises:
        ValueError: there is not one value more than boundaries.
    """

    boundaries: list[float]
    values: list[float]
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                explain(
                    type(self).__name__,
                    f"{len(self.boundaries)} boundaries and {len(self.values)} values",
                    "one value more than boundaries",
                )
            )

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        return np.asarray(self.values, np.float64)[np.searchsorted(self.boundaries, step, side="left")]


class PolynomialDecay(_Decay):
    """(initial − end) · (1 − step / decay_steps)^power + end, then ``end``.

    With ``cycle``, decay_steps is stretched to the next multiple that has not passed yet.
    """

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        cycles = np.maximum(np.ceil(step / self.decay_steps), 1) if self.cycle else 1
        remaining = np.maximum(1 - step / (self.decay_steps * cycles), 0)
        return (self.initial_learning_rate - self.end_learning_rate) * remaining**self.power + self.end_learning_rate


class CosineDecay(_Decay):
    """Half a cosine from the initial rate to ``alpha`` times it (Loshchilov & Hutter 2016, arXiv:1608.03983).

    With ``warmup_target``, a straight line to that rate over ``warmup_steps`` comes first, and the cosine starts there.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        if self.warmup_target is None:
            return self.initial_learning_rate * self._fall(step)
        climbed = np.minimum(step / max(self.warmup_steps, 1), 1)
        climb = self.initial_learning_rate + (self.warmup_target - self.initial_learning_rate) * climbed
        fall = self.warmup_target * self._fall(step - self.warmup_steps)
        return np.where(step < self.warmup_steps, climb, fall)

    def _fall(self, step: Steps) -> Steps:
        return _half_cosine(np.minimum(step / self.decay_steps, 1), self.alpha)


class CosineDecayRestarts(_Decay):
    """Half cosines, each ``t_mul`` times as long and ``m_mul`` times as high as the last (SGDR, arXiv:1608.03983)."""

    _length = "first_decay_steps"
    initial_learning_rate: float
    first_decay_steps: int
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def rate(self, step: Steps) -> Steps:
        """See the class."""
        periods = step / self.first_decay_steps
        if self.t_mul == 1:
            restarts = np.floor(periods)
            done = periods - restarts
        else:
            # n periods last (1 − tⁿ) / (1 − t); the logarithm must not fall below n where a period ends exactly
            restarts = np.floor(np.log(1 - periods * (1 - self.t_mul)) / np.log(self.t_mul) + 1e-9)
            done = (periods - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        return self.initial_learning_rate * _half_cosine(done, self.alpha, self.m_mul**restarts)


def _periods(step: Steps, length: float, staircase: bool) -> Steps:
    return np.floor(step / length) if staircase else step / length


def _half_cosine(done: Steps, alpha: float, height: Steps = 1.0) -> Steps:
    """Fall from ``height`` to ``alpha`` while ``done`` goes from 0 to 1."""
    return (1 - alpha) * 0.5 * height * (1 + np.cos(np.pi * done)) + alpha


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return a schedule's config in Keras's format."""
    config: dict[str, Any] = registry.serialize(learning_rate_schedule)
    return config


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a schedule from its config; your own classes by name in ``custom_objects``."""
    return registry.deserialize(config, custom_objects, "keras.optimizers.schedules")


__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
