"""A model again, with new layers and new weights."""

from collections.abc import Callable
from typing import Any

from convia import tree
from convia.errors import explain
from convia.graph import Input
from convia.layer import Layer
from convia.models.model import Model
from convia.models.sequential import Sequential
from convia.saving import deserialize_keras_object, serialize_keras_object
from convia.saving.configs import revived_compile_config
from convia.symbolic import KerasTensor, substitute

Clone = Callable[[Layer], Any]


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Clone | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """Return a model of the same architecture with new layers, whose weights are drawn anew.

    Args:
        model: any model; a subclassed one is made anew from its config.
        input_tensors: symbolic inputs of the new model, in the structure of the old one's.
        clone_function: makes the new layer of an old one; by default from its config.
        call_function: calls a new layer, ``call_function(layer, *args, **kwargs)``; functional models only.
        recursive: whether layers within nested models are cloned one by one too.

    Raises:
        ValueError: inputs that are not symbolic or not of that structure; a subclassed model with any of the options.
    """
    if kwargs:
        raise ValueError(explain("clone_model", f"the unknown arguments {sorted(kwargs)}", "those of its signature"))
    return _clone(model, input_tensors, clone_function, call_function, recursive, {})


def _clone(model: Any, inputs: Any, clone: Clone | None, call: Any, recursive: bool, made: dict[int, Any]) -> Any:
    is_stack = isinstance(model, Sequential)
    if not is_stack and getattr(model, "graph", None) is None:
        if clone or call or inputs is not None:
            received = f"the subclassed model {model.name!r} with options"
            raise ValueError(explain("clone_model", received, "a Sequential or functional model for them"))
        return deserialize_keras_object(serialize_keras_object(model), {type(model).__name__: type(model)})
    if is_stack and call is not None:
        raise ValueError(explain("clone_model", "call_function for a Sequential", "a functional model for it"))

    def once(layer: Any) -> Any:
        if id(layer) not in made:
            nested = (
                recursive and isinstance(layer, Model) and (layer.graph is not None or isinstance(layer, Sequential))
            )
            made[id(layer)] = _nested(layer) if nested else (clone or _from_config)(layer)
        return made[id(layer)]

    def _nested(layer: Any) -> Any:
        return _clone(layer, None, clone, None if isinstance(layer, Sequential) else call, True, made)

    copy = _stack(model, inputs, once) if is_stack else _graph(model, inputs, once, call)
    if model.compiled:
        config = serialize_keras_object(model)["compile_config"]
        copy.compile(**revived_compile_config(config))
    return copy


def _from_config(layer: Layer) -> Any:
    return type(layer).from_config(layer.get_config())


def _stack(model: Sequential, inputs: Any, once: Clone) -> Sequential:
    layers = [once(layer) for layer in model.layers]
    old = model._input
    if inputs is not None:
        flat = _checked(inputs, 1)
        layers.insert(0, flat[0].node.operation if flat[0].node is not None else Input(tensor=flat[0]))
    elif old is not None and old.node is not None:
        layers.insert(0, _new_input(old))
    return Sequential(layers, trainable=model.trainable, name=model.name)


def _graph(model: Any, inputs: Any, once: Clone, call: Callable[..., Any] | None) -> Any:
    graph = model.graph
    if inputs is None:
        inputs = tree.map_structure(_new_input, graph.input_tree)
    values: dict[int, Any] = {}
    for old, new in zip(graph.inputs, _checked(inputs, len(graph.inputs)), strict=True):
        values[id(old)] = new
    for node in graph.nodes:
        if node.is_input:
            continue
        operation = once(node.operation) if isinstance(node.operation, Layer) else node.operation
        args, kwargs = substitute((node.args, node.kwargs), values)
        result = call(operation, *args, **kwargs) if call else operation(*args, **kwargs)
        for old, new in zip(node.outputs, _symbols(result), strict=True):
            values[id(old)] = new
    outputs = tree.map_structure(lambda tensor: values[id(tensor)], graph.output_tree)
    return type(model)(inputs, outputs, name=model.name)


def _new_input(old: KerasTensor) -> KerasTensor:
    name = old.node.operation.name if old.node is not None else None
    return Input(batch_shape=old.shape, dtype=old.dtype, name=name)


def _checked(inputs: Any, count: int) -> list[KerasTensor]:
    flat = tree.flatten(inputs)
    if len(flat) != count or not all(isinstance(tensor, KerasTensor) for tensor in flat):
        raise ValueError(explain("clone_model, argument 'input_tensors'", repr(inputs), f"{count} symbolic tensors"))
    return flat


def _symbols(result: Any) -> list[KerasTensor]:
    return [leaf for leaf in tree.flatten(result) if isinstance(leaf, KerasTensor)]


__all__ = ["clone_model"]
