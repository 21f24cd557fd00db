"""A graph as a config in Keras 3's format, and back."""

from typing import Any

from convia import registry, tree
from convia.errors import explain
from convia.symbolic import FunctionCall, KerasTensor, Node


def graph_config(model: Any) -> dict[str, Any]:
    """Return name, layers with the calls that belong to the graph, input and output layers."""
    graph = model.graph
    in_graph = {id(node) for node in graph.nodes} | {id(tensor.node) for tensor in graph.inputs}
    numbers: dict[int, tuple[str, int]] = {}  # id(node) → (name of the operation, which of its calls in this graph)
    calls: dict[int, list[Node]] = {}
    for operation in graph.operations:
        calls[id(operation)] = [node for node in operation._inbound_nodes if id(node) in in_graph]
        numbers.update({id(node): (operation.name, index) for index, node in enumerate(calls[id(operation)])})

    def key(tensor: KerasTensor) -> list[Any]:
        return [*numbers[id(tensor.node)], tensor.index]

    def plain(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            return {
                "class_name": "__keras_tensor__",
                "config": {"shape": value.shape, "dtype": value.dtype, "keras_history": key(value)},
            }
        return registry.serialize(value)

    layers = []
    for operation in graph.operations:
        entry = _operation_config(operation)
        entry["name"] = operation.name
        entry["inbound_nodes"] = [
            {"args": _walk(node.args, plain), "kwargs": _walk(node.kwargs, plain)}
            for node in calls[id(operation)]
            if not node.is_input
        ]
        if hasattr(operation, "get_build_config") and operation.get_build_config():
            entry["build_config"] = registry.serialize(operation.get_build_config())
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _walk(graph.input_tree, key),
        "output_layers": _walk(graph.output_tree, key),
    }


def _operation_config(operation: Any) -> dict[str, Any]:
    if not isinstance(operation, FunctionCall):
        return registry.serialize(operation)
    name = operation.function.__name__
    if registry.lookup("keras.ops", name) is None:
        raise ValueError(
            explain("get_config", f"the function {name!r} in a graph", "a layer or a function of convia.ops",
                    "Plain torch functions work in a graph but have no config; wrap them in a Layer.")
        )
    return {"module": "keras.ops", "class_name": "Function", "config": {"function": name}, "registered_name": None}


def _walk(structure: Any, function: Any) -> Any:
    if isinstance(structure, KerasTensor):
        return function(structure)
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
    operations: dict[str, Any] = {}
    waiting: list[tuple[str, int, dict[str, Any]]] = []
    tensors: dict[tuple[str, int], list[KerasTensor]] = {}
    with registry.custom_object_scope(custom_objects or {}):
        for entry in config["layers"]:
            name = entry.get("name") or entry["config"]["name"]
            operations[name] = _operation_from_config(entry)
            if not entry["inbound_nodes"]:
                tensors[name, 0] = tree.flatten(operations[name].output)
            waiting += [(name, index, node) for index, node in enumerate(entry["inbound_nodes"])]
    while waiting:
        later = []
        for name, index, node in waiting:
            ready, args, kwargs = _arguments(node, tensors)
            if not ready or (index and (name, index - 1) not in tensors):
                later.append((name, index, node))
                continue
            tensors[name, index] = [
                leaf for leaf in tree.flatten(operations[name](*args, **kwargs)) if isinstance(leaf, KerasTensor)
            ]
        if len(later) == len(waiting):
            raise ValueError(
                explain("from_config", f"calls of {sorted({name for name, *_ in later})} without their inputs",
                        "a graph in which every call finds its inputs")
            )
        waiting = later
    inputs, outputs = (_pick(config[key], tensors) for key in ("input_layers", "output_layers"))
    model = cls(inputs, outputs, name=config.get("name"))
    if config.get("trainable") is False:
        model.trainable = False
    return model


def _operation_from_config(entry: dict[str, Any]) -> Any:
    if entry["class_name"] == "Function":
        return FunctionCall(registry.lookup("keras.ops", entry["config"]["function"]), name=entry["name"])
    return registry.deserialize(entry, namespace="keras.layers")


def _arguments(node: dict[str, Any], tensors: dict[tuple[str, int], list[KerasTensor]]) -> tuple[bool, list[Any], dict[str, Any]]:
    ready = True

    def resolve(value: Any) -> Any:
        nonlocal ready
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            name, index, position = value["config"]["keras_history"]
            if (name, index) not in tensors:
                ready = False
                return None
            return tensors[name, index][position]
        if isinstance(value, dict) and "class_name" in value:
            return registry.deserialize(value)
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return {key: resolve(item) for key, item in value.items()} if isinstance(value, dict) else value

    args = [resolve(value) for value in node["args"]]
    return ready, args, {key: resolve(value) for key, value in node["kwargs"].items()}


def _pick(keys: Any, tensors: dict[tuple[str, int], list[KerasTensor]]) -> Any:
    """Replace ``[name, call, position]`` by the tensor, in any nesting."""
    if isinstance(keys, (list, tuple)) and len(keys) == 3 and isinstance(keys[0], str):
        return tensors[keys[0], keys[1]][keys[2]]
    if isinstance(keys, dict):
        return {name: _pick(key, tensors) for name, key in keys.items()}
    return [_pick(key, tensors) for key in keys]
