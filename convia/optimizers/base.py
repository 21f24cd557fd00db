"""Optimizer: one step, from gradients to updated variables."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import torch

from convia import registry
from convia.args import parameters
from convia.errors import explain
from convia.optimizers.options import Options
from convia.optimizers.scalar import Scalar
from convia.optimizers.state import OptimizerState, path_of

Tensor = torch.Tensor


class Optimizer(OptimizerState, Options):
    __doc__ = f"""Base of optimizers. It updates Variables and any other ``torch.nn.Parameter``.

    Your own one overrides ``update_step(gradient, variable, learning_rate)``, which changes the variable in place and
    runs without autograd. State is declared by ``slot_groups``, or made in ``build`` by ``add_optimizer_variables``.

    {(Options.__doc__ or "").partition("optimizer.")[2].strip()}
    """

    _namespace = "keras.optimizers"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._excluded: Sequence[Any] = ()
        self._excluded_pattern: re.Pattern[str] | None = None
        for scalar in self.variables:
            scalar.path = f"{self.name}/{scalar.name}"

    def slot_groups(self) -> list[dict[str, Any]]:
        """Return the state kept per variable: name → initial value; variables of a group are stored side by side."""
        return []

    def make_slots(self, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Make the state of all variables."""
        columns: list[list[Any]] = []
        for group in self.slot_groups():
            columns += self.add_optimizer_variables(variables, list(group), list(group.values()))
        return list(zip(*columns, strict=True)) if columns else [()] * len(variables)

    def build(self, variables: Sequence[Any]) -> None:
        """Make the state for the variables; done by the first ``apply`` if it was not before."""
        if self.built:
            return
        self._trainable_variables = list(variables)
        self._index = {id(variable): place for place, variable in enumerate(self._trainable_variables)}
        if self.use_ema:
            self._averages = self.add_optimizer_variables(self._trainable_variables, "average")
        if self.gradient_accumulation_steps:
            self._sums = self.add_optimizer_variables(self._trainable_variables, "gradient_accumulator")
        self._slots = self.make_slots(self._trainable_variables)
        self._decays = any(self._decay_of(variable) is not None for variable in self._trainable_variables)
        self._constrained = any(getattr(variable, "constraint", None) for variable in self._trainable_variables)
        self.built = True

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float) -> None:
        """Update one variable, and its state, in place: the rule of the optimizer."""
        raise NotImplementedError(
            explain(
                type(self).__name__,
                "an optimizer without a rule",
                "one that overrides update_step(self, gradient, variable, learning_rate)",
            )
        )

    def update_steps(self, gradients: Sequence[Tensor], variables: Sequence[Any], learning_rate: float) -> None:
        """Update the variables one by one; override for what is done once per update."""
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Make one step.

        Args:
            grads: a gradient per variable; None where there is none, which leaves the variable as it is.
            trainable_variables: the variables, unless they are all those that the optimizer was built with.

        Raises:
            ValueError: no gradient at all, unknown variables, or lists of different lengths.
        """
        if not len(grads):
            return
        grads, variables = self._pairs(grads, self._known(len(grads), trainable_variables))
        with torch.no_grad():
            if self.loss_scale_factor is not None:
                grads = [gradient / self.loss_scale_factor for gradient in grads]
            self._update(grads, variables)
            if self._constrained:
                _constrain(variables)
        self._iterations.number += 1

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """Make one step from pairs (gradient, variable); returns the count of steps.

        Raises:
            ValueError: there are no pairs.
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise ValueError(explain(f"{self.name}.apply_gradients", "no pairs", "at least one (gradient, variable)"))
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def minimize(self, loss: Tensor | Callable[[], Tensor], variables: Sequence[Any]) -> Any:
        """Make one step down a loss, a tensor or a function that computes it; returns the count of steps."""
        variables = list(variables)
        value = loss() if callable(loss) else loss
        self.apply(torch.autograd.grad(self.scale_loss(value), variables, allow_unused=True), variables)
        return self._iterations

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times ``loss_scale_factor``, to be differentiated instead of it."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _known(self, count: int, variables: Sequence[Any] | None) -> list[Any]:
        if variables is None:
            if not self.built:
                raise ValueError(
                    explain(
                        f"{self.name}.apply",
                        "gradients without variables",
                        "a built optimizer",
                        "Pass the variables, or call optimizer.build(variables) first.",
                    )
                )
            variables = self._trainable_variables
        else:
            variables = list(variables)
            if not self.built:
                self.build(variables)
                self.built = True
            for variable in variables:
                self._get_variable_index(variable)
        if count != len(variables):
            raise ValueError(
                explain(
                    f"{self.name}.apply",
                    f"{count} gradients for {len(variables)} variables",
                    "one gradient per variable",
                )
            )
        return variables

    def _pairs(self, grads: Sequence[Any], variables: list[Any]) -> tuple[list[Tensor], list[Any]]:
        """Leave out variables without a gradient; make tensors of the variables' types."""
        missing = [variable for gradient, variable in zip(grads, variables, strict=True) if gradient is None]
        if len(missing) == len(variables):
            raise ValueError(explain(f"{self.name}.apply", "no gradients for any variable", "at least one gradient"))
        if missing:
            names = ", ".join(map(path_of, missing))
            warnings.warn(
                explain(
                    f"{self.name}.apply",
                    f"no gradients for {names}",
                    "one per variable",
                    "They stay as they are; does the loss depend on them?",
                ),
                stacklevel=3,
            )
            absent = {id(variable) for variable in missing}
            grads = [gradient for gradient in grads if gradient is not None]
            variables = [variable for variable in variables if id(variable) not in absent]
        return [_as_tensor(gradient, variable) for gradient, variable in zip(grads, variables, strict=True)], variables

    def _update(self, grads: list[Tensor], variables: list[Any]) -> None:
        if self.gradient_accumulation_steps:
            grads = self._accumulate(grads, variables)
        if grads:
            rate = self._rate()
            if self._decays:
                self._decay_weights(variables, rate)
            self.update_steps(self._clip(grads), variables, rate)
        if self.use_ema:
            self._average()

    def _accumulate(self, grads: list[Tensor], variables: list[Any]) -> list[Tensor]:
        """Return the mean gradients of the last steps when an update is due, else nothing."""
        steps = self.gradient_accumulation_steps or 1
        sums = [
            self._sums[self._index[id(variable)]].add_(gradient)
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        if (self._iterations.number + 1) % steps:
            return []
        means = [total / steps for total in sums]
        for total in self._sums:
            total.zero_()
        return means

    def _clip(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipnorm:
            return [_limit(g, norm, self.clipnorm) for g, norm in zip(grads, self._norms(grads), strict=True)]
        if self.global_clipnorm:
            norm = torch.stack(self._norms(grads)).norm()
            return [_limit(gradient, norm, self.global_clipnorm) for gradient in grads]
        if self.clipvalue:
            return [gradient.clamp(-self.clipvalue, self.clipvalue) for gradient in grads]
        return grads

    def _norms(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the L2 norms of gradients."""
        return [gradient.norm() for gradient in gradients]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Spare variables from weight decay: those listed, and those whose name matches a regular expression."""
        self._excluded = list(var_list or ())
        self._excluded_pattern = re.compile("|".join(var_names)) if var_names else None

    def _use_weight_decay(self, variable: Any) -> bool:
        if self._excluded and any(variable is other for other in self._excluded):
            return False
        pattern = self._excluded_pattern
        return pattern is None or pattern.search(getattr(variable, "name", None) or "") is None

    def _decay_of(self, variable: Any) -> float | None:
        return self.weight_decay

    def _decay_weights(self, variables: list[Any], learning_rate: float) -> None:
        for variable in variables:
            decay = self._decay_of(variable)
            if decay is not None and self._use_weight_decay(variable):
                variable.mul_(1 - decay * learning_rate)

    def _average(self) -> None:
        update = self.local_step - 1
        share = 1 - self.ema_momentum if update else 1.0
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            average.lerp_(variable, share)
        every = self.ema_overwrite_frequency
        if every and (update + 1) % every == 0:
            self.finalize_variable_values(self._trainable_variables)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Put the moving averages in place of the variables, if they are kept.

        Raises:
            ValueError: not the number of variables that the optimizer was built with.
        """
        if not self.use_ema:
            return
        if len(var_list) != len(self._trainable_variables):
            raise ValueError(
                explain(
                    f"{self.name}.finalize_variable_values",
                    f"{len(var_list)} variables",
                    f"the {len(self._trainable_variables)} that the optimizer was built with",
                )
            )
        for variable, average in zip(var_list, self._averages, strict=True):
            self.assign(variable, average)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values; the learning rate is the current one."""
        config = {name: getattr(self, name) for name in parameters(type(self)) if hasattr(self, name)}
        rate = self._learning_rate
        plain: dict[str, Any] = registry.serialize(
            config | {"learning_rate": float(rate) if isinstance(rate, Scalar) else rate}
        )
        return plain

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make an optimizer, without state, from what ``get_config`` returned."""
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            schedule = registry.deserialize(rate, custom_objects, "keras.optimizers.schedules")
            config = {**config, "learning_rate": schedule}
        return cls(**config)


def _as_tensor(gradient: Any, variable: Any) -> Tensor:
    if isinstance(gradient, Tensor) and gradient.dtype is variable.dtype:
        return gradient
    return torch.as_tensor(gradient, dtype=variable.dtype, device=variable.device)


def _limit(gradient: Tensor, norm: Tensor, largest: float) -> Tensor:
    # norm − norm is 0, or NaN where the norm is infinite: a broken gradient must not look like a small one
    return gradient * (largest / norm.clamp(min=largest) + (norm - norm))


def _constrain(variables: list[Any]) -> None:
    for variable in variables:
        constraint = getattr(variable, "constraint", None)
        if constraint is not None:
            variable.copy_(constraint(variable))
