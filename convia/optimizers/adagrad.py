"""Steps divided by the size of past gradients g: Adagrad, RMSprop, Adadelta, Adafactor, Ftrl."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from convia.optimizers.base import Optimizer, Tensor


class Adagrad(Optimizer):
    """a ← a + g², w ← w − lr · g / √(a + ε) (Duchi et al. 2011)."""

    learning_rate: Any = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def slot_groups(self) -> list[dict[str, Any]]:
        """The sum a."""
        return [{"accumulator": self.initial_accumulator_value}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        (total,) = self.slots(variable)
        total.addcmul_(gradient, gradient)
        variable.addcdiv_(gradient, total.add(self.epsilon).sqrt_(), value=-learning_rate)


class RMSprop(Optimizer):
    """v ← ρv + (1 − ρ)g², w ← w − lr · g / √(v + ε) (Tieleman & Hinton 2012).

    ``centered`` subtracts the square of the mean gradient from v; with ``momentum`` the steps add up, each time
    multiplied by it.
    """

    learning_rate: Any = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def slot_groups(self) -> list[dict[str, Any]]:
        """v, then the sum of steps and the mean gradient where they are used."""
        used = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return [{name: 0} for name, needed in used.items() if needed]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        v, *others = self.slots(variable)
        v.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        variance = v + self.epsilon
        if self.centered:
            mean = others[-1].lerp_(gradient, 1 - self.rho)
            variance.addcmul_(mean, mean, value=-1)
        if self.momentum > 0:
            steps = others[0].mul_(self.momentum).addcdiv_(gradient, variance.sqrt_(), value=learning_rate)
            variable.sub_(steps)
        else:
            variable.addcdiv_(gradient, variance.sqrt_(), value=-learning_rate)


class Adadelta(Optimizer):
    """d = g · √(D + ε) / √(a + ε), w ← w − lr · d (Zeiler 2012, arXiv:1212.5701).

    a and D are running means of g² and d²; D is the one of the steps before.
    """

    learning_rate: Any = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    def slot_groups(self) -> list[dict[str, Any]]:
        """a and D."""
        return [{"accumulated_grad": 0, "accumulated_delta_var": 0}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        squares, deltas = self.slots(variable)
        squares.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        delta = deltas.add(self.epsilon).div_(squares + self.epsilon).sqrt_().mul_(gradient)
        deltas.mul_(self.rho).addcmul_(delta, delta, value=1 - self.rho)
        variable.sub_(delta, alpha=learning_rate)


class Adafactor(Optimizer):
    """Mean squares kept per row and column only (Shazeer & Stern 2018, arXiv:1804.04235).

    v is the outer product of the means of g² + ε₁ over the last axis and over the last but one, relative to their mean;
    a vector's v is kept as it is. The step g / √v is scaled down to the root mean square ``clip_threshold``, and
    multiplied by max(ε₂, RMS(w)) · min(lr, 1/√t).
    """

    learning_rate: Any = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    def make_slots(self, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Row means, column means (unused numbers for vectors, as Keras stores them) and v."""
        return [self._make_slots_of(variable) for variable in variables]

    def _make_slots_of(self, variable: Any) -> tuple[Any, ...]:
        shape, name = variable.shape, getattr(variable, "name", None)
        shapes = (shape[:-1], shape[:-2] + shape[-1:]) if len(shape) > 1 else ((), ())
        dtype = variable.dtype if len(shape) > 1 else "int"
        means = [self.add_variable(part, dtype=dtype, name=name) for part in shapes]
        for mean in means:
            mean.data = mean.data.to(variable.device)
        return *means, self.add_variable_from_reference(variable, "velocity")

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        rows, columns, v = self.slots(variable)
        beta = 1 - self.local_step**self.beta_2_decay
        squares = gradient.square().add_(self.epsilon_1)
        if variable.ndim > 1:
            rows.lerp_(squares.mean(-1), 1 - beta)
            columns.lerp_(squares.mean(-2), 1 - beta)
            relative = rows / rows.mean(-1, keepdim=True)
            torch.mul(relative.unsqueeze(-1), columns.unsqueeze(-2), out=v)
        else:
            v.lerp_(squares, 1 - beta)
        direction = gradient / v.sqrt()
        direction.div_((_rms(direction) / self.clip_threshold).clamp(min=1))
        size = _rms(variable).clamp(min=self.epsilon_2)
        variable.sub_(direction.mul_(size), alpha=min(learning_rate, 1 / math.sqrt(self.local_step)))


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013), with p = −``learning_rate_power`` and n the sum of g².

    With G = g + 2·l2_shrinkage·w and n' = n + g²: z ← z + G − (n'ᵖ − nᵖ) / lr · w, then
    w ← (clip(z, ±l1) − z) / (n'ᵖ / lr + 2·l2 + β / lr).

    Raises:
        ValueError: a negative strength or initial value, or a positive power.
    """

    learning_rate: Any = 0.001
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("learning_rate_power", self.learning_rate_power <= 0, "a number ≤ 0")
        strengths = ("l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength")
        for name in ("initial_accumulator_value", *strengths):
            self._check(name, getattr(self, name) >= 0, "a number ≥ 0")

    def slot_groups(self) -> list[dict[str, Any]]:
        """n and z."""
        return [{"accumulator": self.initial_accumulator_value, "linear": 0}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        total, linear = self.slots(variable)
        old = total.pow(-self.learning_rate_power)
        total.addcmul_(gradient, gradient)
        new = total.pow(-self.learning_rate_power)
        linear.add_(gradient).add_(variable, alpha=2 * self.l2_shrinkage_regularization_strength)
        linear.addcmul_(new - old, variable, value=-1 / learning_rate)
        curvature = new.div_(learning_rate).add_(2 * self.l2_regularization_strength + self.beta / learning_rate)
        l1 = self.l1_regularization_strength
        torch.div(linear.clamp(-l1, l1).sub_(linear), curvature, out=variable)


def _rms(tensor: Tensor) -> Tensor:
    return tensor.square().mean().sqrt_()
