"""ONNX: torch's exporter translates the traced program; then the transpositions between layers are taken out.

Images are channels_last at a model's surface and ONNX's convolutions are channels_first, so that each convolution
stands between two ``Transpose`` nodes. Pushing them down through what works element by element lets them meet and
vanish.
"""

import logging
from typing import Any

import torch

from convia.export.program import optional, quiet

OPSET = 20
_PUSHED = (
    "Abs Add Cast Ceil Clip Concat Div Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log Max Min "
    "Mish Mul Neg Pad Pow Reciprocal Relu Selu Sigmoid Softplus Softsign Sqrt Sub Swish Tanh ThresholdedRelu Where"
)
_PUSHED_THROUGH = frozenset(_PUSHED.split())


def require(who: str) -> None:
    """Raise ImportError where the packages for ONNX are not installed."""
    for package in ("onnx", "onnxscript"):
        optional(who, package)


def to_onnx(program: Any, inputs: list[str], outputs: list[str], opset: int = OPSET) -> Any:
    """Return the ONNX model (of package onnx_ir) for a traced program.

    Args:
        inputs, outputs: names.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet():
            made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=opset)
    finally:
        logger.setLevel(level)
    assert made is not None
    return _renamed(tidied(made.model), [*inputs, *outputs])


def _renamed(model: Any, names: list[str]) -> Any:
    """Name inputs and outputs; other values that have these names give them up."""
    graph, taken = model.graph, set(names)
    for value in [*graph.initializers.values(), *(out for node in graph for out in node.outputs)]:
        if value.name in taken:
            value.name = f"{value.name}_inside"
    for value, name in zip([*graph.inputs, *graph.outputs], names, strict=True):
        value.name = name
    return model


def tidied(model: Any) -> Any:
    """Push transpositions down and take out what meets its inverse; name the free size of the batch; drop notes."""
    ir = optional("export to ONNX", "onnx_ir")
    graph = model.graph
    for node in list(graph):
        if node.op_type == "Transpose":
            _merge(ir, node)
        elif node.op_type in _PUSHED_THROUGH:
            _push(ir, graph, node)
    optional("export to ONNX", "onnx_ir.passes.common").RemoveUnusedNodesPass()(model)
    for item in [graph, *graph, *graph.inputs, *(out for node in graph for out in node.outputs)]:
        item.metadata_props.clear()  # what torch notes for its developers, with paths of this computer
    first = next(
        (value.shape[0] for value in graph.inputs if value.shape and not isinstance(value.shape[0], int)), None
    )
    for value in [*graph.inputs, *graph.outputs, *(out for node in graph for out in node.outputs)]:
        if first is not None and value.shape is not None:
            value.shape = ir.Shape(["batch" if size == first else size for size in value.shape])
    return model


def _perm(value: Any) -> tuple[int, ...] | None:
    """The permutation of the Transpose that makes a value, None if another node does."""
    node = None if value is None else value.producer()
    return tuple(node.attributes["perm"].as_ints()) if node is not None and node.op_type == "Transpose" else None


def _merge(ir: Any, node: Any) -> None:
    """Two transpositions in a row are one, or none."""
    inner, outer = _perm(node.inputs[0]), _perm(node.outputs[0])
    if inner is None or outer is None:
        return
    both = [inner[axis] for axis in outer]
    source = node.inputs[0].producer().inputs[0]
    if both == sorted(both) and not node.outputs[0].is_graph_output():
        ir.convenience.replace_all_uses_with(node.outputs[0], source)
    else:
        node.replace_input_with(0, source)
        node.attributes["perm"] = ir.AttrInt64s("perm", both)


def _push(ir: Any, graph: Any, node: Any) -> None:
    """Turn f(transpose(x)) into transpose(f(x)), where all that f takes is transposed alike or constant."""
    perms = {perm for value in node.inputs if (perm := _perm(value)) is not None}
    if len(perms) != 1 or len(node.outputs) != 1 or node.outputs[0].is_graph_output():
        return
    (perm,) = perms
    sources = [_untransposed(ir, graph, node, value, perm) for value in node.inputs]
    if any(source is None and value is not None for source, value in zip(sources, node.inputs, strict=True)):
        return
    if node.op_type == "Concat":
        node.attributes["axis"] = ir.AttrInt64("axis", perm[node.attributes["axis"].as_int()])
    for index, source in enumerate(sources):
        node.replace_input_with(index, source)
    output = node.outputs[0]
    after = ir.node("Transpose", [output], attributes={"perm": list(perm)})
    after.outputs[0].shape, after.outputs[0].dtype = output.shape, output.dtype
    if output.shape is not None:
        sizes: list[Any] = [None] * len(perm)
        for place, axis in enumerate(perm):
            sizes[axis] = output.shape[place]
        output.shape = ir.Shape(sizes)
    ir.convenience.replace_all_uses_with(output, after.outputs[0])
    after.replace_input_with(0, output)
    graph.insert_after(node, after)


def _untransposed(ir: Any, graph: Any, node: Any, value: Any, perm: tuple[int, ...]) -> Any:
    """What a value is before the transposition; constants are transposed back. None where there is no such thing."""
    if value is None:
        return None
    if _perm(value) is not None:
        return value.producer().inputs[0]
    constant = ir.convenience.get_const_tensor(value)
    if constant is None or node.op_type == "Concat":
        return None
    array = constant.numpy()
    if array.size == 1 or node.op_type == "Clip":
        return value
    order = sorted(range(len(perm)), key=perm.__getitem__)
    if node.op_type == "Pad":
        if array.size != 2 * len(perm):  # of some axes only
            return None
        back = array.reshape(2, -1)[:, order].reshape(-1)
    else:
        back = array.reshape((1,) * (len(perm) - array.ndim) + array.shape).transpose(order)
    made = ir.Value(name=f"{value.name}_{node.name}", shape=ir.Shape(back.shape), type=ir.TensorType(constant.dtype))
    made.const_value = ir.tensor(back.copy(), name=made.name)
    graph.register_initializer(made)
    return made


__all__ = ["OPSET", "require", "tidied", "to_onnx"]
