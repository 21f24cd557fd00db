"""What symbolic tensors of older eras could be asked, and losses that hold symbolic tensors."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from convia import symbolic, tree
from convia.backend.symbols import _gradients, function
from convia.compat.busy import busy
from convia.compat.door import Lent, graft, graft_all
from convia.compat.grafts.mentions import mentions, names_in, replaced, symbols
from convia.compat.sizes import dimension, dimensions
from convia.graph import Graph
from convia.models import Model
from convia.symbolic import KerasTensor, tracing
from convia.training.trainer import Trainer


class Shape(tuple[int | None, ...]):
    """A shape that also answers as TensorFlow's did."""

    __slots__ = ()

    def as_list(self) -> list[int | None]:
        """Return the sizes as a list."""
        return list(super().__iter__())

    @property
    def ndims(self) -> int:
        """The number of axes."""
        return len(self)

    rank = ndims

    @property
    def dims(self) -> list[int | None]:
        """The sizes as a list, each with a ``value``."""
        return list(self)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Shape(found) if isinstance(key, slice) else dimension(found)

    def __iter__(self) -> Iterator[int | None]:
        return dimensions(super().__iter__())


class SymbolMethods:
    """Lent to symbolic tensors."""

    _uses_learning_phase = False

    def get_shape(self: Any) -> Shape:
        """Return the shape."""
        return Shape(self.shape)

    _shape = property(get_shape)

    def set_shape(self: Any, shape: Any) -> None:
        """Accept what is known about the shape."""

    def eval(self: Any, feed_dict: Any = None, session: Any = None) -> Any:
        """Return the numbers for those of placeholders.

        Raises:
            ValueError: a placeholder was not fed.
        """
        feeds = dict(feed_dict or {})
        return function(list(feeds), [self])(list(feeds.values()))[0]

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


class Extras:
    """What a model computes beside its outputs in the same run: what its losses and metrics mention or are."""

    def __init__(self, model: Any) -> None:
        self.mentioned: list[KerasTensor] = []  # by losses and metrics, besides targets and outputs
        self.values: dict[int, Any] = {}  # of those, in the run in progress
        self._model = model
        self._graph: tuple[Any, Graph] | None = None

    def stand_in(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loss or metric for ``function``, which then finds numbers where it mentions symbolic tensors."""
        places = mentions(function)
        known = set(map(id, self.mentioned))
        self.mentioned += [symbol for symbol in symbols(places) if id(symbol) not in known]

        @functools.wraps(function, updated=())
        def evaluated(y_true: Any, y_pred: Any) -> Any:
            if not self.values:  # shapes are being checked
                return y_pred.new_zeros(len(y_pred))
            with replaced(places, self.values):
                value = function(y_true, y_pred)
            return value if value.ndim else value.expand(len(y_pred))

        return evaluated

    def __bool__(self) -> bool:
        return bool(self.mentioned or self._model._symbolic_losses or self._model._symbolic_metrics)

    def run(self, inputs: list[Any]) -> Any:
        """Run the model's graph and the extras together; returns the model's outputs."""
        model = self._model
        added, metrics = model._symbolic_losses, model._symbolic_metrics
        wanted = [*self.mentioned, *added, *metrics.values()]
        known = self._graph
        if known is None or known[0] != list(map(id, wanted)):
            ends = [*model.graph.outputs, *wanted]
            known = self._graph = (list(map(id, wanted)), Graph(model.graph.inputs, ends, "add_loss"))
        graph = known[1]
        if self.mentioned or any(getattr(step.operation, "function", None) is _gradients for step in graph.steps):
            inputs = [x.requires_grad_() if x.is_floating_point() else x for x in (x.detach() for x in inputs)]
        results = tree.flatten(graph.run(inputs))
        count = len(model.graph.outputs)
        found = dict(zip(map(id, wanted), results[count:], strict=True))
        self.values = {id(symbol): found[id(symbol)] for symbol in self.mentioned}
        for symbol in added:
            model.add_loss(found[id(symbol)].mean())
        for name, symbol in metrics.items():
            model.add_metric(found[id(symbol)], name=name)
        return tree.pack(model.graph.output_tree, results[:count])


def extras_of(model: Any) -> Extras:
    """Return a model's extras."""
    found: Extras | None = model.__dict__.get("_era_extras")
    if found is None:
        found = model.__dict__["_era_extras"] = Extras(model)
    return found


def _differentiates(model: Any) -> bool:
    """Whether a layer of a model asks for gradients, as ``Lambda(lambda x: K.gradients(x[1], x[0]))`` does."""
    known = model.__dict__.get("_era_differentiates")
    if known is None:
        functions = [getattr(step.operation, "function", None) for step in model.graph.steps]
        known = any(function is _gradients or names_in(function, "gradients") for function in functions)
        model.__dict__["_era_differentiates"] = known
    return bool(known)


def _apart(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf


def _tracked(leaf: Any) -> Any:
    leaf = _apart(leaf)
    return leaf.requires_grad_() if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.graph is not None and not torch.is_grad_enabled() and not tracing() and _differentiates(self):
            with torch.inference_mode(False), torch.enable_grad():
                inputs = tree.map_structure(_tracked, inputs)
                return tree.map_structure(_apart, original(self, inputs, *args, **kwargs))
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
            with busy():
                return original(self, x, y, weight)
        extras = extras_of(self)
        self.__dict__["_era_stepping"] = True
        try:
            if y is None and extras.mentioned:
                y = [torch.zeros(len(tree.flatten(x)[0]))] * len(self.graph.outputs)
                y = y if len(y) > 1 else y[0]
            with busy(), torch.set_grad_enabled(learns or bool(extras.mentioned)):
                return original(self, x, y, weight)
        finally:
            del self.__dict__["_era_stepping"]
            extras.values = {}

    return step


class _Together(TorchFunctionMode):
    """Constants join the tensors without numbers that they meet while shapes are computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return func(*args, **(kwargs or {}))
        except RuntimeError:
            leaves = [leaf for leaf in tree.flatten([args, kwargs or {}]) if isinstance(leaf, torch.Tensor)]
            if len({leaf.device.type for leaf in leaves}) < 2:
                raise
            args, kwargs = tree.map_structure(_on_meta, [args, kwargs or {}])
            return func(*args, **kwargs)


def _on_meta(leaf: Any) -> Any:
    return leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf


def _infer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Sizes that a program computes with stay numbers: before fake tensors, which forget them, constants may join."""

    @functools.wraps(original)
    def infer(function: Any, args: Any, kwargs: Any, on_meta: bool) -> Any:
        if on_meta:
            return original(function, args, kwargs, on_meta=True)
        try:
            with _Together():
                return original(function, args, kwargs, on_meta=True)
        except (AttributeError, NameError, ImportError):  # nothing that other tensors could mend
            raise
        except Exception:
            return original(function, args, kwargs, on_meta=False)

    return infer


def install() -> None:
    """Lend them."""
    graft(symbolic, "_infer", _infer(symbolic._infer))
    graft_all(KerasTensor, SymbolMethods)
    graft(KerasTensor, "__init__", _with_shape(KerasTensor.__init__))
    graft(torch.Tensor, "get_shape", lambda self: Shape(self.shape))
    graft(Model, "call", _call(Model.call))
    graft(Trainer, "_learn", _step(Trainer._learn, True))
    graft(Trainer, "_measure", _step(Trainer._measure, False))


__all__ = ["Extras", "Shape", "SymbolMethods", "extras_of", "install"]
