"""A graph as a config in Keras 3's format, and back."""

import warnings
from typing import Any

from convia import registry, tree
from convia.errors import explain
from convia.layers.augmentation import Augmentation
from convia.models import operations, tensorflow_nodes, tensorflow_ops
from convia.saving.configs import from_keras
from convia.saving.files import naming
from convia.symbolic import FunctionCall, KerasTensor, Node

Tensors = dict[tuple[str, int], list[KerasTensor]]  # (name of the operation, which of its calls) → outputs


def graph_config(model: Any) -> dict[str, Any]:
    """Return name, layers with the calls that belong to the graph, input and output layers."""
    graph = model.graph
    in_graph = {id(node) for node in graph.nodes} | {id(tensor.node) for tensor in graph.inputs}
    numbers: dict[int, tuple[Any, int]] = {}  # id(node) → (operation, which of its calls in this graph)
    calls: dict[int, list[Node]] = {}
    for operation in graph.operations:
        calls[id(operation)] = [node for node in operation._inbound_nodes if id(node) in in_graph]
        numbers.update({id(node): (operation, index) for index, node in enumerate(calls[id(operation)])})

    def place(tensor: KerasTensor) -> list[Any]:
        operation, index = numbers[id(tensor.node)]
        return [operation.name, index, tensor.index]

    def outer_place(tensor: KerasTensor) -> list[Any]:
        operation, index = numbers[id(tensor.node)]
        return [operation.name, index + _own_calls(operation), tensor.index]

    def plain(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            described = {"shape": value.shape, "dtype": value.dtype, "keras_history": place(value)}
            return {"class_name": "__keras_tensor__", "config": described}
        return _plain(value)

    layers = []
    for operation in graph.operations:
        nodes = [node for node in calls[id(operation)] if not node.is_input]
        entry = _operation_config(operation, nodes)
        entry["name"] = operation.name
        entry["inbound_nodes"] = [_call_config(operation, node, plain) for node in nodes]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _walk(graph.input_tree, place),
        "output_layers": _walk(graph.output_tree, outer_place),
    }


def _own_calls(operation: Any) -> int:
    """Keras counts a functional model's call of itself on its own inputs, but only in the list of outputs."""
    return int(type(operation).__name__ == "Functional")


def _operation_config(operation: Any, nodes: list[Node]) -> dict[str, Any]:
    return (
        operations.describe(operation, nodes[0])
        if isinstance(operation, FunctionCall)
        else registry.serialize(operation)
    )


def _call_config(operation: Any, node: Node, plain: Any) -> dict[str, Any]:
    args, kwargs = (
        operations.call_arguments(operation, node) if isinstance(operation, FunctionCall) else (node.args, node.kwargs)
    )
    return {"args": _walk(list(args), plain), "kwargs": _walk(kwargs, plain)}


def _plain(value: Any) -> Any:
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": parts}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    return registry.serialize(value)


def _walk(structure: Any, function: Any) -> Any:
    if isinstance(structure, (list, tuple)):
        return [_walk(item, function) for item in structure]
    if isinstance(structure, dict):
        return {key: _walk(item, function) for key, item in structure.items()}
    return function(structure)


def functional_from_config(cls: Any, config: dict[str, Any], custom_objects: Any = None) -> Any:
    """Make the layers, then repeat their calls in any order in which each finds its inputs.

    Raises:
        ValueError: calls whose inputs never come into being.
    """
    made: dict[str, Any] = {}
    waiting: list[tuple[str, int, Any]] = []
    tensors: Tensors = {}
    with registry.custom_object_scope(custom_objects or {}):
        for entry in from_keras(config)["layers"]:
            name = entry.get("name") or entry["config"]["name"]
            with naming(f"layer {name!r}"):
                made[name] = _operation_from_config({**entry, "name": name})
            nodes = entry["inbound_nodes"]
            if entry["class_name"] in _OF_TENSORFLOW:
                nodes = [_as_lists(node) for node in nodes]
            if not nodes:
                tensors[name, 0] = tree.flatten(made[name].output)
            waiting += [(name, index, node) for index, node in enumerate(nodes)]
        _repeat_calls(made, waiting, tensors)
    inputs, outputs = (_pick(config[key], made, tensors) for key in ("input_layers", "output_layers"))
    model = cls(inputs, outputs, name=config.get("name"))
    if config.get("trainable") is False:
        model.trainable = False
    for operation in made.values():
        if isinstance(operation, _Addition):
            operation.add_to(model)
    return model


def _repeat_calls(made: dict[str, Any], waiting: list[tuple[str, int, Any]], tensors: Tensors) -> None:
    reader = _Reader(made, tensors)
    while waiting:
        later = []
        for name, index, node in waiting:
            arguments = reader.arguments(node)
            if arguments is None or (index and (name, index - 1) not in tensors):
                later.append((name, index, node))
                continue
            args, kwargs = arguments
            if kwargs.get("mask", ...) is None:  # Keras notes it for layers that never get one
                del kwargs["mask"]
            if kwargs.get("training") and isinstance(made[name], Augmentation):  # Keras notes a default
                del kwargs["training"]
            if isinstance(made[name], operations.Revived):
                args, kwargs = made[name].completed(args, kwargs)
            outputs = made[name](*args, **kwargs)
            if not isinstance(made[name], tensorflow_ops.TensorFlowFunction):
                outputs = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, KerasTensor)]
            tensors[name, index] = outputs
        if len(later) == len(waiting):
            names = sorted({name for name, *_ in later})
            raise ValueError(
                explain(
                    "from_config", f"calls of {names} without their inputs", "a graph whose calls find their inputs"
                )
            )
        waiting = later


class _Addition:
    """A loss or metric that tf.keras's ``model.add_loss(tensor)`` put into a graph; it hands on its input."""

    KINDS = ("AddLoss", "AddMetric")

    def __init__(self, name: str, kind: str, config: dict[str, Any]) -> None:
        self.name, self.kind, self.metric = name, kind, config.get("metric_name")
        self.tensor: Any = None

    def __call__(self, tensor: Any) -> list[Any]:
        self.tensor = tensor
        return [tensor]

    def add_to(self, model: Any) -> None:
        """Add it where programs of tf.keras's era run, whose models take losses of symbolic tensors; else say so."""
        if not hasattr(model, "_symbolic_losses"):
            received = (
                f"{self.kind} layer {self.name!r}, a {'loss' if self.kind == 'AddLoss' else 'metric'} in the graph"
            )
            remedy = (
                "Predictions are the same; to train on with it, call add_loss or add_metric in a Layer of your own."
            )
            warnings.warn(explain("load_model", received, "losses and metrics in compile()", remedy), stacklevel=2)
        elif self.kind == "AddLoss":
            model.add_loss(self.tensor)
        else:
            model.add_metric(self.tensor, name=self.metric or self.name)


_OF_TENSORFLOW = (*tensorflow_ops.CLASSES, tensorflow_nodes.CLASS)


def _operation_from_config(entry: dict[str, Any]) -> Any:
    if entry["class_name"] in _Addition.KINDS and registry.get_registered_object(entry["class_name"]) is None:
        return _Addition(entry["name"], entry["class_name"], entry["config"])
    if entry["class_name"] == tensorflow_nodes.CLASS:
        return tensorflow_nodes.TensorFlowNode(entry["name"], entry["config"])
    if entry["class_name"] in tensorflow_ops.CLASSES:
        return tensorflow_ops.TensorFlowFunction(entry["name"], entry["config"]["function"])
    operation = operations.revive(entry)
    return registry.deserialize(entry, None, "keras.layers") if operation is None else operation


class _NotYetError(Exception):
    """A call's input does not exist yet."""


class _Reader:
    """Reads the arguments of calls; ``made`` and ``tensors`` are the operations and the results that exist so far."""

    def __init__(self, made: dict[str, Any], tensors: Tensors) -> None:
        self._made, self._tensors = made, tensors

    def arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]] | None:
        """Return a call's arguments, None while they do not all exist."""
        try:
            if isinstance(node, list):
                return self._of_first_eras(node)
            args = [self._value(value) for value in node["args"]]
            return args, {key: self._value(value) for key, value in node["kwargs"].items()}
        except _NotYetError:
            return None

    def _of_first_eras(self, node: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Read Keras 1's and 2's [[name, call, output, keywords], …]."""
        inputs = [self._place(*entry) for entry in node]
        keywords = node[0][3] if len(node[0]) > 3 else {}
        is_list = len(inputs) > 1 or isinstance(node, _Several)
        return [inputs if is_list else inputs[0]], {key: self._keyword(item) for key, item in keywords.items()}

    def _place(self, name: str, index: int, position: Any, *_: Any) -> Any:
        if name == "_CONSTANT_VALUE":
            return position
        return self._tensor(name, index - int(hasattr(self._made.get(name), "get_layer")), position)

    def _keyword(self, value: Any) -> Any:
        if _is_place(value) and value[0] in (*self._made, "_CONSTANT_VALUE"):
            return self._place(*value)
        if isinstance(value, dict) and value.keys() == {"start", "stop", "step"}:
            return slice(*(self._keyword(value[part]) for part in ("start", "stop", "step")))
        if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
            return Ellipsis
        return [self._keyword(item) for item in value] if isinstance(value, list) else value

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind, inner = value.get("class_name"), value.get("config") or {}
        if kind == "__keras_tensor__":
            return self._tensor(*inner["keras_history"])
        if kind == "__slice__":
            return slice(*(inner[part] for part in ("start", "stop", "step")))
        if kind == "__ellipsis__":
            return Ellipsis
        return registry.deserialize(value) if kind else {key: self._value(item) for key, item in value.items()}

    def _tensor(self, name: str, index: int, position: int) -> KerasTensor:
        if (name, index) not in self._tensors:
            raise _NotYetError
        return self._tensors[name, index][position]


class _Several(list[Any]):
    """Inputs that are a list, even of one."""


def _as_lists(node: Any) -> Any:
    """tf.keras writes the only input of a function without the list around it."""
    return [node] if node and isinstance(node[0], str) else _Several(node)


def _is_place(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int)


def _pick(keys: Any, made: dict[str, Any], tensors: Tensors) -> Any:
    """Replace ``[name, call, position]`` by the tensor, in any nesting."""
    if isinstance(keys, dict):
        return {name: _pick(key, made, tensors) for name, key in keys.items()}
    if not (isinstance(keys, (list, tuple)) and len(keys) == 3 and isinstance(keys[0], str)):
        return [_pick(key, made, tensors) for key in keys]
    name, index, position = keys
    counted_from_one = (
        hasattr(made[name], "get_layer")
        and (name, index - 1) in tensors
        and (_own_calls(made[name]) or (name, index) not in tensors)
    )
    return tensors[name, index - int(counted_from_one)][position]
