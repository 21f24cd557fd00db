"""Lowering: a graph of layers becomes a plan for the engine, or the reason why it cannot."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from convia import layers
from convia.engine.builder import Builder, Rule
from convia.engine.functions import name_of
from convia.engine.plan import Plan, Shape, Unsupported
from convia.engine.rules import FUNCTIONS, rule_of
from convia.engine.rules.convolution import slides_over
from convia.engine.rules.functions import Call
from convia.graph import Graph
from convia.symbolic import FunctionCall, KerasTensor


class Part(NamedTuple):
    """A call, by numbers of tensors, and whether it is called with training=False."""

    operation: Any
    node: Any
    reads: list[int]
    makes: list[int]
    frozen: bool


@dataclass
class Padded:
    """A tensor within zeros, by the call of a layer, which is lowered once something needs it as a whole."""

    layer: Any
    node: Any
    source: int
    sides: list[tuple[int, int]]
    made: int | None = None


_FLOATS = frozenset({"float32", "bfloat16", "float16"})  # types of tensors that the engine keeps in float32
_PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)


class Lowering(Builder):
    """One run over calls. ``plan`` is the result.

    Args:
        inputs, outputs: of the calls.
        learned: the variables that learn.

    Raises:
        Unsupported: a layer, or a way of using it, that the engine does not know.
    """

    def __init__(self, inputs: list[KerasTensor], outputs: list[KerasTensor], learned: list[Any]) -> None:
        super().__init__(learned)
        for tensor in inputs:
            if tensor.dtype not in _FLOATS:
                raise Unsupported(f"input {tensor.name!r} of type {tensor.dtype} is not supported by the engine")
            self.plan.inputs.append(self.plan.tensor(_known(tensor.shape, f"input {tensor.name!r}")))
        self._ends = {id(tensor) for tensor in outputs}

    def end(self, outputs: list[int | Padded]) -> Plan:
        """Return the plan, given the tensors that are its outputs."""
        self.plan.outputs = [self.laid_out(self.whole(tensor), False) for tensor in outputs]
        return self.plan

    def run(self, graph: Graph, inputs: list[int | Padded], frozen: bool) -> list[int | Padded]:
        """Lower the calls of a graph on given tensors, ``frozen`` where it is called with training=False."""
        values = {id(tensor): number for tensor, number in zip(graph.inputs, inputs, strict=True)}
        for step in graph.steps:
            node = step.node
            ins, quiet = [values[id(tensor)] for tensor in node.inputs], node.kwargs.get("training") is False
            outs = self.call(step.operation, node, ins, frozen or quiet)
            values |= {id(tensor): number for tensor, number in zip(node.outputs, outs, strict=True)}
        return [values[id(tensor)] for tensor in graph.outputs]

    def call(self, operation: Any, node: Any, ins: list[int | Padded], frozen: bool) -> list[int | Padded]:
        """Lower one call of a function, a layer or a model; return its outputs."""
        inner = getattr(operation, "graph", None)
        if isinstance(inner, Graph) and type(operation).__module__.startswith("convia.models"):
            _check_call(operation, node, inner)
            return self.run(inner, ins, frozen)
        if isinstance(operation, FunctionCall):
            whole = [self.whole(tensor) for tensor in ins]
            self.plan.layer = operation.name
            return [*self.function(operation, node, whole)]
        self.frozen, around = frozen, None
        if type(operation) in _PADDINGS and operation.activity_regularizer is None:
            self.check_layer(operation, node)
            sides = [operation.padding] if operation.rank == 1 else [*operation.padding]
            return [Padded(operation, node, self.whole(ins[0]), sides)]
        if isinstance(ins[0], Padded):
            padded = ins[0]
            if slides_over(self, operation, padded.source, padded.sides, padded.layer.data_format):
                around, ins = padded.sides, [padded.source]
        return [self.layer(operation, node, [self.whole(tensor) for tensor in ins], around)]

    def whole(self, tensor: int | Padded) -> int:
        """Return the number of a tensor; zeros around it are put there where they are not yet."""
        if not isinstance(tensor, Padded):
            return tensor
        if tensor.made is None:
            tensor.made = self.layer(tensor.layer, tensor.node, [tensor.source])
        return tensor.made

    def layer(self, layer: Any, node: Any, ins: list[int], around: list[tuple[int, int]] | None = None) -> int:
        """Lower the call of one layer, on inputs within zeros perhaps; return the number of its output."""
        who, rule = self.check_layer(layer, node)
        self.plan.layer, self.around = layer.name, around
        shape = _known(node.outputs[0].shape, who)
        scope = layer._recomputation
        self.plan.kept = -1 if scope is None else scope.largest_kept(layer, math.prod(shape))
        self.ends_here = id(node.outputs[0]) in self._ends
        self.channels_first = self._wants_channels_first(layer, ins)
        ins = [self.laid_out(tensor, self.channels_first) for tensor in ins]
        if self.channels_first:
            shape = (*shape[1:], shape[0])
        try:
            out = rule(self, layer, ins, shape)
            if self.shape(out) != shape and self.seen(out) != shape:
                raise Unsupported(f"an output of shape {self.seen(out)} where {shape} is announced")
            return out if layer.activity_regularizer is None else self.penalized(layer.activity_regularizer, out)
        except Unsupported as error:
            raise Unsupported(f"{who}: {error}, which the engine does not know") from None

    def check_layer(self, layer: Any, node: Any) -> tuple[str, Rule]:
        """Return what to call a layer in errors, and its rule."""
        who = f"layer {layer.name!r} ({type(layer).__name__})"
        rule = rule_of(layer)
        if rule is None:
            raise Unsupported(f"{who} is not supported by the engine")
        _check_call(layer, node)
        if layer.compute_dtype not in _FLOATS or layer.variable_dtype != "float32":
            raise Unsupported(f"{who} has the policy {layer.dtype_policy.name!r}, which the engine does not know")
        if getattr(layer, "lora_enabled", False):
            raise Unsupported(f"{who} has adapters (enable_lora), which the engine does not know")
        if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
            raise Unsupported(f"{who} has hooks, which the engine does not call")
        return who, rule

    def function(self, call: FunctionCall, node: Any, ins: list[int]) -> list[int]:
        """Lower the call of a function; return its outputs."""
        name = name_of(call.function)
        who = f"function {call.name!r} ({getattr(call.function, '__name__', call.function)})"
        rule = FUNCTIONS.get(name or "")
        if rule is None:
            raise Unsupported(f"{who} is not supported by the engine")
        others = {tensor.dtype for tensor in (*node.inputs, *node.outputs)} - _FLOATS
        if others:
            raise Unsupported(f"{who} computes in {others.pop()}, the engine in float32")
        shapes = [_known(tensor.shape, who) for tensor in node.outputs]
        self.plan.kept = -1
        self.ends_here, self.channels_first = False, False
        try:
            return rule(self, Call(name or "", call.function, node.args, node.kwargs, node.inputs), ins, shapes)
        except Unsupported as error:
            raise Unsupported(f"{who}: {error}, which the engine does not know") from None

    def _wants_channels_first(self, layer: Any, ins: list[int]) -> bool:
        """Return the layout in which a layer works: its own, that of its axis, else that of its first input."""
        if hasattr(layer, "data_format"):
            first: bool = layer.data_format == "channels_first"
            return first
        axis = -1 if isinstance(layer, layers.Dense) else getattr(layer, "axis", None)
        rank = len(self.shape(ins[0])) + 1
        if isinstance(axis, int) and not isinstance(layer, layers.Concatenate):
            return rank > 2 and axis % rank == 1
        different = len({len(self.shape(tensor)) for tensor in ins}) > 1
        return ins[0] in self.first and not different


def _check_call(layer: Any, node: Any, inner: Graph | None = None) -> None:
    """Refuse a call with other arguments than inputs in their order and perhaps training=False or None."""
    alike = inner is None or isinstance(node.args[0], dict) == isinstance(inner.input_tree, dict)
    given = {key: value for key, value in node.kwargs.items() if value is not None}
    plain = len(node.args) == 1 and given in ({}, {"training": False})
    if not plain or not alike or (inner is None and len(node.outputs) != 1):
        who = f"layer {layer.name!r} ({type(layer).__name__})"
        raise Unsupported(f"{who} is not supported by the engine with such arguments")


def _known(shape: Any, who: str) -> Shape:
    sizes = tuple(shape[1:])
    if None in sizes or not 1 <= len(sizes) <= 4:
        raise Unsupported(f"{who} has shape {tuple(shape)}, the engine needs 1 to 4 known sizes beside the batch")
    return sizes


def lower(graph: Graph, learned: list[Any]) -> Plan:
    """Return the plan of a graph; raises Unsupported, which says why, where the engine cannot run it."""
    to = Lowering(graph.inputs, graph.outputs, learned)
    return to.end(to.run(graph, [*to.plan.inputs], False))


def lower_part(inputs: dict[int, KerasTensor], parts: Iterable[Part], outputs: list[int]) -> Plan:
    """Return the plan of some calls in their order, for predictions; inputs and outputs by the numbers of tensors."""
    to = Lowering(list(inputs.values()), [], [])
    values: dict[int, int | Padded] = dict(zip(inputs, to.plan.inputs, strict=True))
    for part in parts:
        outs = to.call(part.operation, part.node, [values[number] for number in part.reads], part.frozen)
        values |= zip(part.makes, outs, strict=True)
    return to.end([values[number] for number in outputs])
