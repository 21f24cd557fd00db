"""``tf.train.*Optimizer`` of TensorFlow 1: optimizers of a model, of a tape's gradients, and steps of a session.

With a symbolic loss ``minimize`` returns a step that ``Session.run`` makes, each time from what is fed.
"""

from collections.abc import Sequence
from typing import Any

import torch

from convia import backend, optimizers, schedules, tree
from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.door import given
from convia.errors import explain
from convia.layer import Layer
from convia.symbolic import KerasTensor
from convia.variable import Variable


class TrainingStep(graphs.Operation):
    """What ``minimize`` returns for a symbolic loss; a session, or ``run``, makes it.

    Args:
        optimizer: makes the step.
        loss: symbolic.
        variables: those that learn; None for all that the loss depends on.
        counter: a variable that counts the steps.
    """

    learns = True

    def __init__(self, optimizer: Any, loss: KerasTensor, variables: Any, counter: Any) -> None:
        super().__init__(self._step, [loss, *optimizer.symbolic_rate()], name=optimizer.name)
        self.optimizer, self.loss, self.counter = optimizer, loss, counter
        self._variables = None if variables is None else list(variables)

    def _step(self, value: Any, *rate: Any) -> None:
        """Make one step down a loss with its graph.

        Raises:
            ValueError: no variable could learn.
        """
        if self._variables is None:
            self._variables = learning(self.loss)
        if not self._variables:
            raise ValueError(explain(f"{self.optimizer.name}.minimize", "no variables", "a loss that depends on some"))
        gradients = torch.autograd.grad(value.sum(), self._variables, allow_unused=True, retain_graph=True)
        self.optimizer.take_rate(*rate)
        self.optimizer.apply(list(gradients), self._variables)
        if self.counter is not None:
            _counted(self.counter)


def _counted(counter: Any) -> None:
    with torch.no_grad():
        counter.add_(1)


def learning(loss: KerasTensor) -> list[Any]:
    """Return the variables that a symbolic tensor depends on and that learn: of layers, of functions' arguments."""
    found: dict[int, Any] = {}
    for node in reversed(_behind(loss)):
        own = node.operation.trainable_weights if isinstance(node.operation, Layer) else []
        leaves = tree.flatten([node.args, node.kwargs])
        for variable in [*own, *(leaf for leaf in leaves if isinstance(leaf, Variable) and leaf.requires_grad)]:
            found[id(variable)] = variable
    return list(found.values())


def _behind(symbol: KerasTensor) -> list[Any]:
    """The calls that lead to a symbolic tensor, the last ones first."""
    found: dict[int, Any] = {}
    ahead = [symbol.node]
    while ahead:
        node = ahead.pop()
        if node is not None and id(node) not in found:
            found[id(node)] = node
            ahead += node.parents
    return list(found.values())


def _leaves(loss: Any) -> list[Any]:
    """Return the variables behind a tensor, in the order in which they are found."""
    found, seen, ahead = [], set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        ahead += [other for other, _ in node.next_functions]
    return found


class _Old:
    """What optimizers of TensorFlow 1 had besides."""

    _given_rate: Any = None  # a symbolic tensor or a variable, which is asked at each step

    def symbolic_rate(self) -> list[Any]:
        """Return the learning rate if it is symbolic."""
        return [self._given_rate] if isinstance(self._given_rate, KerasTensor) else []

    def take_rate(self: Any, *rate: Any) -> None:
        """Take the learning rate of the step: of a symbolic one what it is in the run."""
        now = rate[0] if rate else self._given_rate
        if now is not None:
            self.learning_rate = float(now)

    def minimize(self: Any, loss: Any, global_step: Any = None, var_list: Any = None, **ignored: Any) -> Any:
        """Make a step down a loss, a tensor or a function of nothing; for a symbolic one return that step."""
        if isinstance(loss, KerasTensor):
            return TrainingStep(self, loss, var_list, global_step)
        with torch.enable_grad():
            value = loss() if callable(loss) else loss
        variables = list(var_list) if var_list is not None else _leaves(value)
        return self.apply_gradients(
            zip(torch.autograd.grad(value.sum(), variables), variables, strict=True), global_step
        )

    def apply_gradients(self: Any, grads_and_vars: Any, global_step: Any = None, name: Any = None) -> Any:
        """Make a step from pairs (gradient, variable); symbolic gradients make an operation of it."""
        pairs = [(gradient, variable) for gradient, variable in grads_and_vars if gradient is not None]
        if any(isinstance(gradient, KerasTensor) for gradient, _ in pairs):
            return self._applying(pairs, global_step)
        grads_and_vars = pairs
        done = super().apply_gradients(grads_and_vars)  # type: ignore[misc]
        if global_step is not None:
            _counted(global_step)
        return done

    def _applying(self: Any, pairs: Any, global_step: Any) -> Any:
        variables = [variable for _, variable in pairs]

        def step(gradients: Any, *rate: Any) -> None:
            self.take_rate(*rate)
            self.apply([gradient.detach() for gradient in gradients], variables)
            if global_step is not None:
                _counted(global_step)

        wanted = [gradient for gradient, _ in pairs]
        return graphs.operation(step, wanted, *self.symbolic_rate(), name=self.name)

    def compute_gradients(self: Any, loss: Any, var_list: Sequence[Any] | None = None, **ignored: Any) -> Any:
        """Return pairs (gradient, variable) of a loss, a tensor or a function of nothing.

        Of a symbolic loss the gradients are symbolic.
        """
        if isinstance(loss, KerasTensor):
            variables = learning(loss) if var_list is None else list(var_list)
            return list(zip(backend.gradients(loss, variables), variables, strict=True))
        with torch.enable_grad():
            value = loss() if callable(loss) else loss
        variables = list(var_list) if var_list is not None else _leaves(value)
        return list(zip(torch.autograd.grad(value.sum(), variables), variables, strict=True))


# name → the optimizer of today, its arguments' names then, and what is different by default
_RULES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "AdadeltaOptimizer": (optimizers.Adadelta, "learning_rate rho epsilon", {"epsilon": 1e-8}),
    "AdagradOptimizer": (optimizers.Adagrad, "learning_rate initial_accumulator_value", {}),
    "AdamOptimizer": (optimizers.Adam, "learning_rate beta_1 beta_2 epsilon", {"epsilon": 1e-8}),
    "FtrlOptimizer": (optimizers.Ftrl, "learning_rate learning_rate_power initial_accumulator_value", {}),
    "GradientDescentOptimizer": (optimizers.SGD, "learning_rate", {}),
    "MomentumOptimizer": (optimizers.SGD, "learning_rate momentum", {}),
    "RMSPropOptimizer": (optimizers.RMSprop, "learning_rate rho momentum epsilon", {"epsilon": 1e-10}),
}
PACKAGE = "tf.train"  # of the optimizers in files
_RENAMED = {"beta1": "beta_1", "beta2": "beta_2", "decay": "rho", "use_nesterov": "nesterov"}


def _made(name: str, rule: Any, order: str, defaults: dict[str, Any]) -> Any:
    names = order.split()

    def start(self: Any, *args: Any, use_locking: bool = False, **kwargs: Any) -> None:
        named = {_RENAMED.get(key, key): value for key, value in kwargs.items()}
        options = {**defaults, **dict(zip(names, args, strict=False)), **named}
        rate = options.get("learning_rate")
        if isinstance(rate, KerasTensor):
            options["learning_rate"] = 0.0
        elif isinstance(rate, torch.Tensor):
            options["learning_rate"] = float(given(rate))
        super(made, self).__init__(**options)
        if isinstance(rate, (KerasTensor, Variable)):
            object.__setattr__(self, "_given_rate", rate)

    body = {"__init__": start, "__module__": __name__, "__doc__": f"See :class:`convia.optimizers.{rule.__name__}`."}
    made = type(rule)(name, (_Old, rule), body)
    return made


def global_step(graph: Any = None) -> Any:
    """Return the variable that counts steps."""
    steps = graphs.state().steps
    if not steps:
        steps.append(Variable(0, dtype="int64", trainable=False, name="global_step"))
    return steps[0]


def _falling(rule: Any) -> Any:
    """Make a learning rate that falls: in a graph by the variable that counts steps, else by the optimizer's own."""

    def rate(learning_rate: Any, global_step: Any, *args: Any, name: Any = None, **kwargs: Any) -> Any:
        schedule = rule(learning_rate, *args, **kwargs)
        if global_step is None or not graphs.in_use():
            return schedule
        return graphs.deferred(lambda step: torch.tensor(float(schedule(int(step)))), (global_step,))

    rate.__doc__ = f"See :class:`convia.optimizers.schedules.{getattr(rule, '__name__', '')}`."
    return rate


def piecewise_constant(x: Any, boundaries: Any, values: Any, name: Any = None) -> Any:
    """Return a learning rate that is constant between numbers of steps."""
    return _falling(lambda _: schedules.PiecewiseConstantDecay(list(boundaries), list(values)))(None, x)


exponential_decay = _falling(schedules.ExponentialDecay)
RATES: dict[str, Any] = {
    "cosine_decay": _falling(schedules.CosineDecay),
    "exponential_decay": exponential_decay,
    "inverse_time_decay": _falling(schedules.InverseTimeDecay),
    "piecewise_constant": piecewise_constant,
    "piecewise_constant_decay": piecewise_constant,
    "polynomial_decay": _falling(schedules.PolynomialDecay),
}
OPTIMIZERS = {name: _made(name, *row) for name, row in _RULES.items()}
__all__ = ["OPTIMIZERS", "RATES", "TrainingStep", "exponential_decay", "global_step", "learning"]
