"""Gradient descent and its sign: SGD, Lion."""

from collections.abc import Sequence
from typing import Any

import torch

from convia.args import Fraction
from convia.errors import explain
from convia.optimizers.base import Optimizer, Tensor


class SGD(Optimizer):
    """w ← w − lr·g; with momentum v ← momentum·v − lr·g and w ← w + v, or, Nesterov, w ← w + momentum·v − lr·g."""

    learning_rate: Any = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    def slot_groups(self) -> list[dict[str, Any]]:
        """A velocity, which Keras calls momentum, if there is any."""
        return [{"momentum": 0}] if self.momentum else []

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        if not self.momentum:
            variable.sub_(gradient, alpha=learning_rate)
            return
        (velocity,) = self.slots(variable)
        velocity.mul_(self.momentum).sub_(gradient, alpha=learning_rate)
        if self.nesterov:
            variable.add_(velocity, alpha=self.momentum).sub_(gradient, alpha=learning_rate)
        else:
            variable.add_(velocity)

    def update_steps(self, gradients: Sequence[Tensor], variables: Sequence[Any], learning_rate: float) -> None:
        """Update all variables on a GPU in a few calls, where starting kernels takes longer than they do."""
        if type(self).update_step is not SGD.update_step or any(each.device.type != "cuda" for each in variables):
            super().update_steps(gradients, variables, learning_rate)
        else:
            self._update_together(list(gradients), list(variables), learning_rate)

    def _update_together(self, gradients: list[Tensor], variables: list[Any], learning_rate: float) -> None:
        if not self.momentum:
            torch._foreach_add_(variables, gradients, alpha=-learning_rate)
            return
        velocities = [self.slots(variable)[0] for variable in variables]
        torch._foreach_mul_(velocities, self.momentum)
        torch._foreach_add_(velocities, gradients, alpha=-learning_rate)
        if self.nesterov:
            torch._foreach_add_(variables, velocities, alpha=self.momentum)
            torch._foreach_add_(variables, gradients, alpha=-learning_rate)
        else:
            torch._foreach_add_(variables, velocities)


class Lion(Optimizer):
    """w ← w − lr·sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g (Chen et al. 2023, arXiv:2302.06675).

    Raises:
        ValueError: beta_1 is not in (0, 1].
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta_1 <= 1:
            raise ValueError(explain("Lion, argument 'beta_1'", repr(self.beta_1), "a number > 0 and ≤ 1"))

    def slot_groups(self) -> list[dict[str, Any]]:
        """The mean gradient m."""
        return [{"momentum": 0}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        (m,) = self.slots(variable)
        variable.sub_(m.lerp(gradient, 1 - self.beta_1).sign_(), alpha=learning_rate)
        m.lerp_(gradient, 1 - self.beta_2)
