"""What layers of older eras could be asked: shapes, inputs and outputs of each call, K1's names of weights."""

import functools
from types import SimpleNamespace
from typing import Any

from convia import tree
from convia.compat import eras
from convia.compat.door import Lent, from_outside, graft, graft_all
from convia.compat.grafts.symbols import Shape
from convia.errors import explain
from convia.images.iterators import ImagesIterator
from convia.layer import Layer
from convia.metrics import Mean, Metric
from convia.models import Model
from convia.optimizers.scalar import Scalar
from convia.symbolic import KerasTensor, tracing
from convia.variable import Variable


def _shapes(structure: Any) -> Any:
    leaves = [Shape(leaf.shape) for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]
    return leaves[0] if len(leaves) == 1 else leaves


def _node(layer: Any, index: int) -> Any:
    nodes = [node for node in layer._inbound_nodes if node.inputs or node.is_input]
    graph = getattr(layer, "graph", None)
    if graph is not None and (eras.current() in eras.STANDALONE or not nodes):  # a model's own calls came first
        nodes = [SimpleNamespace(inputs=graph.inputs, outputs=graph.outputs, output_tree=graph.outputs), *nodes]
    if not -len(nodes) <= index < len(nodes):
        who = f"Layer {layer.name!r}"
        raise ValueError(explain(who, f"a question for its call number {index}", f"one of its {len(nodes)} calls"))
    return nodes[index]


def _one_or_all(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


class LayerMethods:
    """Lent to every layer."""

    @Lent
    def output_shape(self: Any) -> Any:
        """The shape of the output, batch included."""
        if self._inbound_nodes:
            return _shapes(_node(self, 0).output_tree)
        return Shape(self.compute_output_shape(*(self._build_shapes or {}).values()))

    @Lent
    def input_shape(self: Any) -> Any:
        """The shape of the input, batch included."""
        if self._inbound_nodes:
            node = _node(self, 0)
            return _shapes(node.inputs or node.outputs)
        return Shape(next(iter((self._build_shapes or {"input_shape": self.input_shape_hint}).values())))

    def get_output_at(self: Any, node_index: int) -> Any:
        """Return the symbolic output of a call."""
        return _one_or_all(_node(self, node_index).outputs)

    def get_input_at(self: Any, node_index: int) -> Any:
        """Return the symbolic input of a call."""
        node = _node(self, node_index)
        return _one_or_all(node.inputs or node.outputs)

    def get_output_shape_at(self: Any, node_index: int) -> Any:
        """Return the shape of the output of a call."""
        return _shapes(_node(self, node_index).outputs)

    def get_input_shape_at(self: Any, node_index: int) -> Any:
        """Return the shape of the input of a call."""
        node = _node(self, node_index)
        return _shapes(node.inputs or node.outputs)

    def get_output_shape_for(self: Any, input_shape: Any) -> Any:
        """The older name of ``compute_output_shape``."""
        return self.compute_output_shape(input_shape)

    def get_output(self: Any, train: bool = False) -> Any:
        """Return the symbolic output."""
        return self.output

    @Lent
    def inbound_nodes(self: Any) -> list[Any]:
        """The calls of the layer."""
        nodes: list[Any] = self._inbound_nodes
        return nodes

    @Lent
    def outbound_nodes(self: Any) -> list[Any]:
        """The calls that take what this layer makes; programs empty it after ``layers.pop()``."""
        nodes: list[Any] = self.__dict__.setdefault("outbound_nodes", [])
        return nodes

    @Lent
    def _trainable_weights(self: Any) -> list[Any]:
        """The weights that learn, under the name that private code of older eras used."""
        return list(self.trainable_weights)

    @Lent
    def _non_trainable_weights(self: Any) -> list[Any]:
        """The weights that do not."""
        return list(self.non_trainable_weights)

    @Lent
    def W(self: Any) -> Any:  # noqa: N802
        """Keras 1's name of ``kernel``; a weight of that name that the layer itself has comes first."""
        return _weight(self, "W", "kernel", "embeddings")

    @Lent
    def b(self: Any) -> Any:
        """Keras 1's name of ``bias``."""
        return _weight(self, "b", "bias")

    @Lent
    def nb_filter(self: Any) -> Any:
        """Keras 1's name of ``filters``."""
        return self.filters

    def add_update(self: Any, updates: Any, inputs: Any = None) -> None:
        """Accept updates: they have been made when they were computed."""

    def add_metric(self: Any, value: Any, name: str | None = None, aggregation: str = "mean") -> None:
        """Report the mean of a value under a name."""
        if isinstance(value, KerasTensor):
            self._symbolic_metrics[name or value.name] = value
            return
        if tracing():
            return
        found = next((metric for metric in self._metrics if metric.name == name), None)
        if found is None:
            found = Mean(name=name or "metric")
            self._metrics.append(found)
        found.update_state(value.detach())


def _weight(layer: Any, old: str, *names: str) -> Any:
    own = layer.__dict__.get("_parameters", {})
    found = next((own[name] for name in (old, *names) if name in own), None)
    if found is None:
        raise AttributeError(explain(f"Layer {layer.name!r}", f"a question for {old!r}", "a layer with such a weight"))
    return found


def _without_inputs(original: Any) -> Any:
    @functools.wraps(original)
    def add_loss(self: Any, losses: Any, inputs: Any = None, **kwargs: Any) -> None:
        for value in tree.flatten([losses() if callable(losses) and not hasattr(losses, "shape") else losses]):
            if isinstance(value, KerasTensor):
                self._symbolic_losses.append(value)
            else:
                original(self, value)

    return add_loss


def _add_weight(original: Any) -> Any:
    """Keras 1 and 2 put the name first: ``add_weight("kernel", shape, …)``, K1 the shape, then the initializer."""

    @functools.wraps(original)
    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("use_resource", None)
        kwargs.pop("synchronization", None)
        kwargs.pop("partitioner", None)
        if from_outside() and args and isinstance(args[0], str):
            name, *args = args  # type: ignore[assignment]
            kwargs["name"] = name
        elif len(args) == 2 and from_outside():
            kwargs["initializer"], args = args[1], args[:1]
        return original(self, *args, **kwargs)

    return add_weight


def install() -> None:
    """Lend them to ``Layer``; a model's own ``input_shape`` and ``output_shape`` stay."""
    graft_all(Layer, LayerMethods)
    graft(Metric, "reset_states", lambda self: self.reset_state())
    graft(Layer, "add_loss", _without_inputs(Layer.add_loss))
    graft(Layer, "add_weight", _add_weight(Layer.add_weight))
    graft(Layer, "add_variable", Layer.add_weight)
    graft(Metric, "add_weight", _add_weight(Metric.add_weight))
    for name in ("trainable_weights", "non_trainable_weights"):
        graft(Layer, name, _assignable(name))
    graft(Variable, "get_value", lambda self, borrow=False: self.numpy())
    graft(Variable, "set_value", lambda self, value, borrow=False: self.assign(value))
    graft(ImagesIterator, "nb_sample", property(lambda self: self.n))
    graft(ImagesIterator, "nb_class", property(lambda self: self.num_classes))
    graft(Scalar, "get_value", lambda self: self.numpy())
    graft(Scalar, "set_value", lambda self, value: self.assign(value))
    for name in ("_symbolic_losses", "_symbolic_metrics"):
        graft(Model, name, _per_model(name, list if name.endswith("losses") else dict))


def _assignable(name: str) -> property:
    """Layers of Keras 1 listed their weights themselves; those are variables of theirs from then on."""
    original = getattr(Layer, name)

    def put(self: Any, value: Any) -> None:
        self._tracked.pop(name, None)  # the list is of variables that the layer has anyway
        held = {id(variable) for variable in self.weights}
        for number, variable in enumerate(v for v in value if id(v) not in held):
            setattr(self, f"_{name}_{number}", variable)

    return property(original.fget, put, doc=original.__doc__)


def _per_model(name: str, kind: type) -> property:
    return property(lambda self: self.__dict__.setdefault(f"_era{name}", kind()))
