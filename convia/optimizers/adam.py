"""Adam and its family: means m of the gradient g and v of its square, at update t.

Kingma & Ba 2014, arXiv:1412.6980, in the form that Keras has: ε is added to √v before its bias is corrected.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from convia.errors import explain
from convia.optimizers.base import Optimizer, Tensor
from convia.optimizers.scalar import Scalar


def mean_step(m: Tensor, v: Tensor, gradient: Tensor, beta_1: float, beta_2: float) -> None:
    """m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g²."""
    m.lerp_(gradient, 1 - beta_1)
    v.mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)


def bias_correction(beta_1: float, beta_2: float, step: int) -> float:
    """Return √(1 − β₂ᵗ) / (1 − β₁ᵗ), by which the learning rate makes up for means that began at zero."""
    return math.sqrt(1 - beta_2**step) / (1 - beta_1**step)


class Adam(Optimizer):
    """w ← w − lr · √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε).

    With ``amsgrad``, v is the largest so far (Reddi et al. 2018, arXiv:1904.09237).
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def slot_groups(self) -> list[dict[str, Any]]:
        """m, v and with ``amsgrad`` the largest v."""
        return [{"momentum": 0, "velocity": 0}, *([{"velocity_hat": 0}] if self.amsgrad else [])]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, v, *largest = self.slots(variable)
        mean_step(m, v, gradient, self.beta_1, self.beta_2)
        if largest:
            v = torch.maximum(largest[0], v, out=largest[0])
        alpha = learning_rate * bias_correction(self.beta_1, self.beta_2, self.local_step)
        variable.addcdiv_(m, v.sqrt().add_(self.epsilon), value=-alpha)

    def update_steps(self, gradients: Sequence[Tensor], variables: Sequence[Any], learning_rate: float) -> None:
        """Update all variables in one call of torch's fused kernel, where it can serve them."""
        together = len({variable.device for variable in variables}) == 1
        if type(self).update_step is not Adam.update_step or not (
            together and all(map(_fusable, gradients, variables))
        ):
            super().update_steps(gradients, variables, learning_rate)
            return
        rows = [
            (variable, gradient, *self.slots(variable)) for variable, gradient in zip(variables, gradients, strict=True)
        ]
        values, slopes, means, squares, *largest = map(list, zip(*map(_in_memory_order, rows), strict=True))
        step = self.local_step
        torch._fused_adam_(
            values,
            slopes,
            means,
            squares,
            largest[0] if largest else [],
            [torch.tensor(float(step), device=values[0].device)] * len(gradients),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            weight_decay=0.0,
            eps=self.epsilon / math.sqrt(1 - self.beta_2**step),  # torch adds ε to the corrected √v
            amsgrad=self.amsgrad,
            maximize=False,
        )


def _in_memory_order(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """View tensors of equal strides as contiguous ones: torch copies what is not."""
    if tensors[0].is_contiguous():
        return tensors
    order = sorted(range(tensors[0].ndim), key=tensors[0].stride, reverse=True)
    return [tensor.permute(order) for tensor in tensors]


def _fusable(gradient: Tensor, variable: Any) -> bool:
    """The fused kernel runs through memory: gradient and variable must lie there in the same order."""
    if gradient.dtype is not torch.float32 or variable.device.type not in ("cpu", "cuda"):
        return False
    strides = zip(gradient.stride(), variable.stride(), gradient.shape, strict=True)
    return gradient.stride() == variable.stride() or all(mine == other or n == 1 for mine, other, n in strides)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017, arXiv:1711.05101).

    Raises:
        ValueError: ``weight_decay`` is None.
    """

    learning_rate: Any = 0.001
    weight_decay: float = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_decay is None:
            raise ValueError(explain("AdamW, argument 'weight_decay'", "None", "a number", "Without it, use Adam."))


class Adamax(Optimizer):
    """Adam with the largest gradient u ← max(β₂u, |g|) for √v: w ← w − lr / (1 − β₁ᵗ) · m / (u + ε)."""

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slot_groups(self) -> list[dict[str, Any]]:
        """m and u."""
        return [{"momentum": 0, "norm": 0}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, u = self.slots(variable)
        m.lerp_(gradient, 1 - self.beta_1)
        torch.maximum(u.mul_(self.beta_2), gradient.abs(), out=u)
        variable.addcdiv_(m, u + self.epsilon, value=-learning_rate / (1 - self.beta_1**self.local_step))


class Nadam(Optimizer):
    """Adam with Nesterov momentum, whose weight u_t = β₁(1 − 0.96ᵗ/2) grows (Dozat 2016).

    With U_t the product of all u so far, m̂ = u_{t+1}·m / (1 − U_{t+1}) + (1 − u_t)·g / (1 − U_t), and
    w ← w − lr · m̂ / (√(v / (1 − β₂ᵗ)) + ε).
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slot_groups(self) -> list[dict[str, Any]]:
        """m and v."""
        return [{"momentum": 0, "velocity": 0}]

    def make_slots(self, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The slots, and after them one number for all variables, U."""
        slots = super().make_slots(variables)
        self._u_product = Scalar(1.0, variables[0].dtype if variables else "float32", "variable")
        self._added.append(self._u_product)
        return slots

    def _u(self, step: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def update_steps(self, gradients: Sequence[Tensor], variables: Sequence[Any], learning_rate: float) -> None:
        """Advance U, then update the variables."""
        self._u_product.number *= self._u(self.local_step)
        super().update_steps(gradients, variables, learning_rate)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, v = self.slots(variable)
        mean_step(m, v, gradient, self.beta_1, self.beta_2)
        u, u_next, product = self._u(self.local_step), self._u(self.local_step + 1), self._u_product.number
        m_hat = (m * (u_next / (1 - product * u_next))).add_(gradient, alpha=(1 - u) / (1 - product))
        v_hat = v / (1 - self.beta_2**self.local_step)
        variable.addcdiv_(m_hat, v_hat.sqrt_().add_(self.epsilon), value=-learning_rate)


class Lamb(Optimizer):
    """Adam whose step d is scaled to the weights' norm: w ← w − lr · ‖w‖/‖d‖ · d (You et al. 2019, arXiv:1904.00962).

    The scale is 1 where either norm is zero.
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slot_groups(self) -> list[dict[str, Any]]:
        """m and v."""
        return [{"momentum": 0, "velocity": 0}]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, v = self.slots(variable)
        mean_step(m, v, gradient, self.beta_1, self.beta_2)
        v_hat = v / (1 - self.beta_2**self.local_step)
        update = m / (1 - self.beta_1**self.local_step) / v_hat.sqrt_().add_(self.epsilon)
        weights, length = torch.linalg.vector_norm(variable), torch.linalg.vector_norm(update)
        ratio = torch.where((weights > 0) & (length > 0), weights / length, 1.0)
        variable.sub_(update * ratio, alpha=learning_rate)


class ScheduleFreeAdamW(Optimizer):
    """Adam that needs no schedule: it averages its iterates (Defazio et al. 2024, arXiv:2405.15682).

    z ← z − lr · g / (√(v / (1 − β₂ᵗ)) + ε) is the plain iterate and x ← (1 − 1/t)·x + z/t its average; the model's
    variable is y = (1 − β₁)·z + β₁·x. The rate rises linearly over ``warmup_steps``. This is the paper's rule; on its
    torch backend Keras 3.15 recovers x with the z that is already updated, and departs from it after the first step.
    """

    learning_rate: Any = 0.0025
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0

    def slot_groups(self) -> list[dict[str, Any]]:
        """z, which Keras calls momentum, and v."""
        return [{"momentum": 0, "velocity": 0}]

    def make_slots(self, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The slots; z begins at the variable."""
        slots = super().make_slots(variables)
        for variable, (z, _) in zip(variables, slots, strict=True):
            self.assign(z, variable)
        return slots

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        z, v = self.slots(variable)
        if self.warmup_steps > 0:
            learning_rate *= min(self.local_step / self.warmup_steps, 1.0)
        x = variable.sub(z, alpha=1 - self.beta_1).div_(self.beta_1)
        v.mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        v_hat = v / (1 - self.beta_2**self.local_step)
        z.addcdiv_(gradient, v_hat.sqrt_().add_(self.epsilon), value=-learning_rate)
        x.lerp_(z, 1 / self.local_step)
        torch.lerp(z, x, self.beta_1, out=variable)
