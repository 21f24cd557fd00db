"""``tf.train.*Optimizer`` of TensorFlow 1: optimizers of a model, of a tape's gradients, and steps of a session.

With a symbolic loss ``minimize`` returns a step that ``Session.run`` makes, each time from what is fed.
"""

from collections.abc import Sequence
from typing import Any

import torch

from convia import ops, optimizers, schedules, tree
from convia.compat.tensorflow.door import given
from convia.errors import explain
from convia.graph import Graph
from convia.layer import Layer
from convia.symbolic import KerasTensor
from convia.variable import Variable


class TrainingStep:
    """What ``minimize`` returns for a symbolic loss; a session, or ``run``, makes it.

    Args:
        optimizer: makes the step.
        loss: symbolic.
        variables: those that learn; None for all that the loss depends on.
        counter: a variable that counts the steps.
    """

    def __init__(self, optimizer: Any, loss: KerasTensor, variables: Any, counter: Any) -> None:
        self.optimizer, self.loss, self.counter = optimizer, loss, counter
        self._variables = None if variables is None else list(variables)

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Make one step with the numbers for placeholders.

        Raises:
            ValueError: no variable could learn.
        """
        feeds = {key: value for key, value in (feed_dict or {}).items() if isinstance(key, KerasTensor)}
        graph = Graph(list(feeds), [self.loss], "minimize")
        variables = learning(graph) if self._variables is None else self._variables
        if not variables:
            raise ValueError(explain(f"{self.optimizer.name}.minimize", "no variables", "a loss that depends on some"))
        with torch.enable_grad():
            data = [ops.convert_to_tensor(value, key.dtype).detach() for key, value in feeds.items()]
            value = tree.flatten(graph.run(data))[0].sum()
            gradients = torch.autograd.grad(value, variables, allow_unused=True)
        self.optimizer.apply(list(gradients), variables)
        if self.counter is not None:
            self.counter.assign_add(1)


def learning(graph: Graph) -> list[Any]:
    """Return the variables that learn of a graph: those of its layers and those among its functions' arguments."""
    found: dict[int, Any] = {}
    for step in graph.steps:
        own = step.operation.trainable_weights if isinstance(step.operation, Layer) else []
        leaves = tree.flatten([step.node.args, step.node.kwargs])
        for variable in [*own, *(leaf for leaf in leaves if isinstance(leaf, Variable) and leaf.requires_grad)]:
            found[id(variable)] = variable
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
        """Make a step from pairs (gradient, variable)."""
        done = super().apply_gradients(grads_and_vars)  # type: ignore[misc]
        if global_step is not None:
            global_step.assign_add(1)
        return done

    def compute_gradients(self: Any, loss: Any, var_list: Sequence[Any] | None = None, **ignored: Any) -> Any:
        """Return pairs (gradient, variable) of a loss, a tensor or a function of nothing.

        Raises:
            NotImplementedError: a symbolic loss.
        """
        if isinstance(loss, KerasTensor):
            remedy = "Let the optimizer clip: AdamOptimizer(…, clipvalue=1.0)."
            received = "a symbolic loss"
            raise NotImplementedError(explain(f"{self.name}.compute_gradients", received, "minimize(loss)", remedy))
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
        if isinstance(rate, torch.Tensor):
            options["learning_rate"] = float(given(rate))
        super(made, self).__init__(**options)

    body = {"__init__": start, "__module__": __name__, "__doc__": f"See :class:`convia.optimizers.{rule.__name__}`."}
    made = type(rule)(name, (_Old, rule), body)
    return made


_steps: list[Any] = []


def global_step(graph: Any = None) -> Any:
    """Return the variable that counts steps."""
    if not _steps:
        _steps.append(Variable(0, dtype="int64", trainable=False, name="global_step"))
    return _steps[0]


def exponential_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any,
                      staircase: bool = False, name: Any = None) -> Any:  # fmt: skip
    """Return a schedule for an optimizer; it goes by the optimizer's own steps."""
    return schedules.ExponentialDecay(learning_rate, decay_steps, decay_rate, staircase)


OPTIMIZERS = {name: _made(name, *row) for name, row in _RULES.items()}
__all__ = ["OPTIMIZERS", "TrainingStep", "exponential_decay", "global_step", "learning"]
