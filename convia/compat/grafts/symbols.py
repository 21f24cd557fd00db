"""What symbolic tensors of older eras could be asked, and losses that hold symbolic tensors."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from convia import tree
from convia.backend.symbols import _gradients
from convia.compat.door import Lent, graft, graft_all
from convia.graph import Graph, Input
from convia.models import Model
from convia.symbolic import KerasTensor, tracing
from convia.training.compiled import Compiled
from convia.training.trainer import Trainer


class Shape(tuple):
    """A shape that also answers as TensorFlow's did."""

    __slots__ = ()

    def as_list(self) -> list[int | None]:
        """Return the sizes as a list."""
        return list(self)

    @property
    def ndims(self) -> int:
        """The number of axes."""
        return len(self)

    rank = ndims

    @property
    def dims(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    def __getitem__(self, key: Any) -> Any:
        return Shape(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)


class SymbolMethods:
    """Lent to symbolic tensors."""

    _uses_learning_phase = False

    def get_shape(self: Any) -> Shape:
        """Return the shape."""
        return Shape(self.shape)

    def set_shape(self: Any, shape: Any) -> None:
        """Accept what is known about the shape."""

    def eval(self: Any, session: Any = None) -> Any:
        """Refuse: a symbolic tensor holds no numbers."""
        return self.numpy()

    @Lent
    def _keras_shape(self: Any) -> Shape:
        return Shape(self.shape)

    @Lent
    def op(self: Any) -> Any:
        """The operation that makes the tensor; it has a name."""
        return self.node.operation


def _with_shape(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.shape = Shape(self.shape)

    return init


# -- losses with symbolic tensors in them -----------------------------------------------------------------------------


def mentions_symbols(function: Any, seen: set[int] | None = None) -> bool:
    """Whether a function uses symbolic tensors that are not its arguments: in its closure, globals or partial."""
    seen = set() if seen is None else seen
    if id(function) in seen:
        return False
    seen.add(id(function))
    if isinstance(function, functools.partial):
        held: list[Any] = [*function.args, *function.keywords.values(), function.func]
    elif hasattr(function, "__code__") and not str(function.__module__).startswith(("convia", "torch", "numpy")):
        cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        names = function.__code__.co_names
        held = [*cells, *(function.__globals__[name] for name in names if name in function.__globals__)]
    else:
        return False
    return any(
        isinstance(leaf, KerasTensor) or (callable(leaf) and mentions_symbols(leaf, seen))
        for value in held
        for leaf in (tree.flatten(value) if isinstance(value, (list, tuple)) else [value])
    )


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


class Extras:
    """What a model computes beside its outputs in the same run: losses and metrics of symbolic tensors."""

    def __init__(self, model: Any) -> None:
        self.targets: list[Any] = []  # symbolic targets of the losses, one per output with such a loss
        self.places: list[int] = []  # the outputs that these belong to
        self.losses: list[Any] = []
        self.values: list[Any] = []  # of the losses, in the last run
        self.current: Any = None  # the targets of the step in progress
        self._model = model
        self._graph: tuple[Any, Graph] | None = None

    def stand_in(self, function: Callable[..., Any], place: int) -> Callable[..., Any]:
        """Return a loss function that gives what the run has computed for ``function``."""
        output = self._model.outputs[place]
        target = Input(batch_shape=output.shape, dtype="float32")
        number = len(self.losses)
        self.targets.append(target)
        self.places.append(place)
        self.losses.append(function(target, output))

        @functools.wraps(function, updated=())
        def loss(y_true: Any, y_pred: Any) -> Any:
            value = self.values[number] if self.values else y_pred.new_zeros(())
            return value if value.ndim else value.expand(len(y_pred))

        return loss

    def __bool__(self) -> bool:
        return bool(self.losses or self._model._symbolic_losses or self._model._symbolic_metrics)

    def run(self, inputs: list[Any]) -> Any:
        """Run the model's graph and the extras together; returns the model's outputs."""
        model = self._model
        added, metrics = model._symbolic_losses, model._symbolic_metrics
        wanted = [*self.losses, *added, *metrics.values()]
        known = self._graph
        if known is None or known[0] != list(map(id, wanted)):
            ends = [*model.graph.outputs, *(x for x in wanted if isinstance(x, KerasTensor))]
            graph = Graph([*model.graph.inputs, *self.targets], ends, "add_loss")
            known = self._graph = (list(map(id, wanted)), graph)
        graph = known[1]
        targets = [self._target(place) for place in self.places]
        if any(getattr(step.operation, "function", None) is _gradients for step in graph.steps):
            inputs = [x.requires_grad_() if x.is_floating_point() else x for x in (x.detach() for x in inputs)]
        results = tree.flatten(graph.run([*inputs, *targets]))
        count = len(model.graph.outputs)
        values = iter(results[count:])
        found = [next(values) if isinstance(x, KerasTensor) else x for x in wanted]
        self.values = found[: len(self.losses)]
        for value in found[len(self.losses) : len(self.losses) + len(added)]:
            model.add_loss(value.mean())
        for name, value in zip(metrics, found[len(found) - len(metrics) :], strict=True):
            model.add_metric(value, name=name)
        return tree.pack(model.graph.output_tree, results[:count])

    def _target(self, place: int) -> Any:
        targets = tree.flatten(self.current)
        target = targets[place] if len(targets) > place else None
        return target if target is not None else torch.zeros(())


def extras_of(model: Any) -> Extras:
    """Return a model's extras."""
    found = model.__dict__.get("_era_extras")
    if found is None:
        found = model.__dict__["_era_extras"] = Extras(model)
    return found


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.graph is None or tracing() or "_era_stepping" not in self.__dict__:
            return original(self, inputs, *args, **kwargs)
        extras = extras_of(self)
        return extras.run(self._arranged(inputs)) if extras else original(self, inputs, *args, **kwargs)

    return call


def _step(original: Callable[..., Any], learns: bool) -> Callable[..., Any]:
    """Wrap a step of training or testing: its targets are known to the extras while it runs."""

    @functools.wraps(original)
    def step(self: Any, x: Any, y: Any, weight: Any) -> Any:
        extras = self.__dict__.get("_era_extras")
        if not (extras or self.__dict__.get("_era_symbolic_losses") or self.__dict__.get("_era_symbolic_metrics")):
            return original(self, x, y, weight)
        extras = extras_of(self)
        extras.current = y
        self.__dict__["_era_stepping"] = True
        try:
            if y is None and extras.losses:
                y = [torch.zeros(len(tree.flatten(x)[0]))] * len(self.graph.outputs)
                y = y if len(y) > 1 else y[0]
            with torch.enable_grad() if extras.losses and not learns else torch.set_grad_enabled(learns):
                return original(self, x, y, weight)
        finally:
            del self.__dict__["_era_stepping"]

    return step


def install() -> None:
    """Lend them."""
    graft_all(KerasTensor, SymbolMethods)
    graft(KerasTensor, "__init__", _with_shape(KerasTensor.__init__))
    graft(torch.Tensor, "get_shape", lambda self: Shape(self.shape))
    graft(Model, "call", _call(Model.call))
    graft(Trainer, "_learn", _step(Trainer._learn, True))
    graft(Trainer, "_measure", _step(Trainer._measure, False))


__all__ = ["Compiled", "Extras", "Shape", "SymbolMethods", "extras_of", "install", "mentions_symbols"]
