"""Muon: momentum whose matrices are made orthogonal."""

import math
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from convia.errors import explain
from convia.optimizers.adam import bias_correction, mean_step
from convia.optimizers.base import Optimizer, Tensor


class Muon(Optimizer):
    """Orthogonalized momentum for matrices, AdamW for everything else (Jordan et al. 2024, arXiv:2502.16982).

    Variables that do not have two axes, embeddings and those whose path matches one of ``exclude_layers`` (regular
    expressions) are updated by Adam with the ``adam_…`` arguments. ``rms_rate`` scales the steps of matrices to the
    size of Adam's: by √(longer side) · rms_rate; None leaves them.
    """

    learning_rate: Any = 0.001
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: float = 1e-7
    _: KW_ONLY  # for type checkers
    weight_decay: float | None = 0.004
    name: Any = None
    exclude_layers: list[str] | None = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.775
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1
    momentum: float = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.exclude_layers = self.exclude_layers or []

    def _uses_adam(self, variable: Any) -> bool:
        path = getattr(variable, "path", "")
        embedding = self.exclude_embeddings and "embedding" in path.lower()
        return variable.ndim != 2 or embedding or any(re.search(word, path) for word in self.exclude_layers or ())

    def make_slots(self, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Momentum, and where Adam is used its velocity."""
        names = {False: ("momentum",), True: ("momentum", "velocity")}
        return [
            tuple(self.add_variable_from_reference(variable, name) for name in names[self._uses_adam(variable)])
            for variable in variables
        ]

    def _decay_of(self, variable: Any) -> float | None:
        return self.adam_weight_decay if len(self.slots(variable)) > 1 else self.weight_decay

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """See the class."""
        m, *velocity = self.slots(variable)
        if velocity:
            mean_step(m, velocity[0], gradient, self.adam_beta_1, self.adam_beta_2)
            alpha = (
                learning_rate
                * self.adam_lr_ratio
                * bias_correction(self.adam_beta_1, self.adam_beta_2, self.local_step)
            )
            variable.addcdiv_(m, velocity[0].sqrt().add_(self.epsilon), value=-alpha)
            return
        m.mul_(self.momentum).add_(gradient)
        direction = gradient.add(m, alpha=self.momentum) if self.nesterov else m
        update = self.lr_adjust(self.zeropower_via_newtonschulz5(direction, self.ns_steps))
        variable.sub_(update, alpha=learning_rate)

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Scale a matrix's step by √(longer side) · rms_rate."""
        return x if self.rms_rate is None else x * (math.sqrt(max(x.shape[:2])) * self.rms_rate)

    def transpose_last_axis(self, x: Tensor) -> Tensor:
        """Swap the last two axes."""
        return x.mT

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Return nearly U·Vᵀ of x = U·Σ·Vᵀ, by Newton–Schulz iteration of degree 5: x ← ax + (bA + cA²)x, A = x·xᵀ.

        Raises:
            ValueError: x has fewer than two axes.
        """
        if x.ndim < 2:
            raise ValueError(explain("Muon", f"a gradient of shape {tuple(x.shape)}", "at least two axes"))
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(steps):
            a = x @ x.mT
            x = self.muon_a * x + (self.muon_b * a + self.muon_c * a @ a) @ x
        return x.mT if tall else x
