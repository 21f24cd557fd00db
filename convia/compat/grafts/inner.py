"""Books that Keras kept of calls and graphs, which programs of older eras looked into: nodes, their keys and depths."""

from collections.abc import Iterator
from typing import Any

from convia.compat import eras
from convia.compat.door import Lent, graft_all
from convia.compat.grafts.symbols import Shape
from convia.models import Model
from convia.symbolic import Node


def _by_era(items: list[Any]) -> Any:
    """A list; in tf.keras a single item by itself."""
    return items if eras.current() in eras.STANDALONE or len(items) != 1 else items[0]


class NodeMethods:
    """Lent to every call of a layer."""

    @Lent
    def inbound_layers(self: Any) -> Any:
        """The layers whose outputs it takes; in tf.keras a single one by itself."""
        found = [tensor.node.operation for tensor in self.inputs]
        return _by_era(found)

    @Lent
    def outbound_layer(self: Any) -> Any:
        """The layer that is called."""
        return self.operation

    layer = outbound_layer

    @Lent
    def node_indices(self: Any) -> list[int]:
        """For each input, which call of its layer made it."""
        return [tensor._keras_history.node_index for tensor in self.inputs]

    @Lent
    def tensor_indices(self: Any) -> list[int]:
        """For each input, which output of that call it is."""
        return [tensor.index for tensor in self.inputs]

    @Lent
    def input_shapes(self: Any) -> Any:
        """The shape of the input, or the list of them."""
        return _by_era([Shape(tensor.shape) for tensor in self.inputs])

    @Lent
    def output_shapes(self: Any) -> Any:
        """The shape of the output, or the list of them."""
        return _by_era([Shape(tensor.shape) for tensor in self.outputs])

    def iterate_inbound(self: Any) -> Iterator[tuple[Any, int, int, Any]]:
        """Yield (layer, number of its call, number of the output, tensor) of each input."""
        for tensor in self.inputs:
            yield (*tensor._keras_history, tensor)


def _depths(model: Any) -> list[tuple[int, Any]]:
    """The calls of a model's graph, each with its distance from the outputs, which are at 0."""
    nodes = model.graph.nodes
    depth = dict.fromkeys(map(id, nodes), 0)
    for node in reversed(nodes):
        for parent in node.parents:
            depth[id(parent)] = max(depth[id(parent)], depth[id(node)] + 1)
    return [(depth[id(node)], node) for node in nodes]


class GraphMethods:
    """Lent to every model."""

    @Lent
    def _network_nodes(self: Any) -> set[str]:
        """The keys of the calls in the graph: the layer's name and the number of its call."""
        nodes = self.graph.nodes
        return {f"{node.operation.name}_ib-{node.operation._inbound_nodes.index(node)}" for node in nodes}

    container_nodes = _network_nodes

    @Lent
    def _nodes_by_depth(self: Any) -> dict[int, list[Any]]:
        """The calls at each distance from the outputs."""
        found: dict[int, list[Any]] = {}
        for depth, node in _depths(self):
            found.setdefault(depth, []).append(node)
        return found

    nodes_by_depth = _nodes_by_depth

    @Lent
    def _layers_by_depth(self: Any) -> dict[int, list[Any]]:
        """The layers at each distance from the outputs; one that is called several times at its greatest."""
        farthest: dict[int, int] = {}
        for depth, node in _depths(self):
            farthest[id(node.operation)] = max(depth, farthest.get(id(node.operation), 0))
        found: dict[int, list[Any]] = {}
        for layer in self.graph.layers:
            found.setdefault(farthest.get(id(layer), 0), []).append(layer)
        return found

    layers_by_depth = _layers_by_depth

    @Lent
    def _input_layers(self: Any) -> list[Any]:
        """The layers where data enters."""
        return [tensor.node.operation for tensor in self.inputs]

    input_layers = _input_layers

    @Lent
    def _output_layers(self: Any) -> list[Any]:
        """The layers that make the outputs."""
        return [tensor.node.operation for tensor in self.outputs]

    output_layers = _output_layers

    @Lent
    def _layers(self: Any) -> list[Any]:
        """The layers, under the name that private code of older eras used."""
        return list(self.layers)

    @Lent
    def _is_graph_network(self: Any) -> bool:
        """Whether there is a graph."""
        return self.graph is not None


def install() -> None:
    """Lend them."""
    graft_all(Node, NodeMethods)
    graft_all(Model, GraphMethods)
