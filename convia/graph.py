"""Graphs of layers: inputs, the ordered list of calls, and running it on tensors.

A :class:`Graph` is what lies between symbolic inputs and outputs. Its ``steps`` are the calls in an order in which
each finds its inputs; a step also says which tensors nobody needs afterwards, so that inference frees them.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from convia import config, tree
from convia.errors import explain
from convia.layer import Layer
from convia.symbolic import KerasTensor, Node, Operation, symbolic_leaves


class InputLayer(Layer):
    """Where data enters a graph; made by :func:`Input`."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if shape is None and batch_shape is None:
            batch_shape = kwargs.pop("batch_input_shape", None)
        kind = config.dtype_name(dtype) if dtype is not None else config.floatx()
        if input_tensor is not None:
            shape, batch_shape, kind = None, input_tensor.shape, input_tensor.dtype
        super().__init__(name=name or getattr(input_tensor, "name", None), dtype=kind, **kwargs)
        if (shape is None) == (batch_shape is None):
            received = "both shape and batch_shape" if shape is not None else "neither shape nor batch_shape"
            raise ValueError(explain("Input", received, "one of them, such as shape=(28, 28, 1)"))
        self.batch_shape = tuple(batch_shape) if batch_shape is not None else (batch_size, *_sizes(shape))
        self.batch_size = self.batch_shape[0] if self.batch_shape else None
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        self.built = True
        symbol = KerasTensor(self.batch_shape, kind, name=self.name) if input_tensor is None else input_tensor
        Node(self, (), {}, symbol)

    def get_config(self) -> dict[str, Any]:
        """Return the batch shape, the type and the name."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
        }

    def call(self, inputs: Any) -> Any:
        """Pass the data on."""
        return inputs


def _sizes(shape: Any) -> tuple[int | None, ...]:
    try:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    except TypeError:
        sizes = ("?",)
    if not all(size is None or (isinstance(size, int) and size >= 0) for size in map(_plain, sizes)):
        raise ValueError(explain("Input", f"shape={shape!r}", "a tuple of whole numbers or None, without the batch"))
    return tuple(map(_plain, sizes))


def _plain(size: Any) -> Any:
    """NumPy's integers become Python's."""
    return int(size) if hasattr(size, "__index__") and not isinstance(size, bool) else size


def Input(  # noqa: N802
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """Return a symbolic tensor that stands for data of a shape (without the batch): the start of a functional model.

    Raises:
        ValueError: neither ``shape`` nor ``batch_shape``, or both.
    """
    if tensor is not None and tensor.node is not None and not tensor.node.is_input:
        return tensor  # a model that begins there keeps what the tensor is computed from
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    output: KerasTensor = layer.output
    return output


@dataclass
class _Slot:
    """Stands for a symbolic tensor in a step's arguments."""

    index: int


@dataclass
class Step:
    """One call of the plan: where its arguments lie, where its results go, what is not needed afterwards."""

    node: Node
    operation: Any
    only: int | None  # the slot of its only argument, the usual case
    args: Any
    kwargs: Any
    results: list[int]
    dead: list[int] = field(default_factory=list)


class Graph:
    """The calls between symbolic inputs and outputs.

    Args:
        inputs, outputs: symbolic tensors, or lists and dicts of them.

    Raises:
        ValueError: something that is not a symbolic tensor; outputs that do not depend on the inputs; two layers of
            one name.
    """

    def __init__(self, inputs: Any, outputs: Any, who: str = "Model") -> None:
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            for leaf in tree.flatten(structure):
                if not isinstance(leaf, KerasTensor):
                    raise ValueError(
                        explain(
                            f"{who}, argument {what!r}",
                            repr(leaf),
                            "symbolic tensors",
                            "Start from Input(shape) and call layers on it.",
                        )
                    )
        self.who = who
        self.input_tree, self.output_tree = _with_fresh_inputs(inputs, outputs)
        self.inputs, self.outputs = tree.flatten(self.input_tree), tree.flatten(self.output_tree)
        self.nodes = self._sorted_nodes()
        self.operations = self._sorted_operations()
        self._check_names()
        self._plan()

    @property
    def layers(self) -> list[Layer]:
        """The layers among the operations, in Keras's order."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    @cached_property
    def inner_models(self) -> list[Any]:
        """The models with graphs of their own among the operations, once for each call."""
        return [step.operation for step in self.steps if vars(step.operation).get("graph") is not None]

    def _sorted_nodes(self) -> list[Node]:
        """Depth first from the outputs: every node comes after the nodes that it needs."""
        given = {id(tensor) for tensor in self.inputs}
        done: set[int] = set()
        ordered: list[Node] = []
        stack = [(output.node, False) for output in reversed(self.outputs)]
        while stack:
            node, ready = stack.pop()
            if node is None or id(node) in done:
                continue
            if ready:
                done.add(id(node))
                ordered.append(node)
                continue
            if node.is_input and not any(id(tensor) in given for tensor in node.outputs):
                raise ValueError(
                    explain(
                        self.who,
                        f"outputs that need the tensor {node.outputs[0].name!r}",
                        "outputs that depend on nothing but the given inputs",
                        "The graph is disconnected: add that tensor to the inputs.",
                    )
                )
            stack.append((node, True))
            stack += [(parent, False) for parent in reversed(node.parents)]
        return ordered

    def _sorted_operations(self) -> list[Any]:
        """By distance from the outputs, then by first use: the order of layers and weights in Keras and its files."""
        first_use: dict[int, int] = {}
        for node in self._in_order_of_visit():
            first_use.setdefault(id(node.operation), len(first_use))
        depth: dict[int, int] = {id(node): 0 for node in self.nodes}
        operation_depth: dict[int, int] = {}
        for node in reversed(self.nodes):
            key = id(node.operation)
            operation_depth[key] = depth[id(node)] = max(depth[id(node)], operation_depth.get(key, 0))
            for parent in node.parents:
                depth[id(parent)] = max(depth[id(parent)], depth[id(node)] + 1)
        operations = {id(node.operation): node.operation for node in self.nodes}
        for tensor in self.inputs:  # an input that no output needs still belongs to the model
            operations.setdefault(id(tensor.node.operation), tensor.node.operation)
        return sorted(operations.values(), key=lambda op: (-operation_depth.get(id(op), 0), first_use.get(id(op), -1)))

    def _in_order_of_visit(self) -> list[Node]:
        """Depth first, a node before what it needs."""
        seen: dict[int, Node] = {}
        stack = [output.node for output in reversed(self.outputs)]
        while stack:
            node = stack.pop()
            if node is not None and id(node) not in seen:
                seen[id(node)] = node
                stack += reversed(node.parents)
        return list(seen.values())

    def _check_names(self) -> None:
        names: set[str] = set()
        for operation in self.operations:
            if operation.name in names:
                raise ValueError(
                    explain(self.who, f"two layers named {operation.name!r}", "a different name for each layer")
                )
            names.add(operation.name)

    def _plan(self) -> None:
        slots: dict[int, int] = {}
        for tensor in (*self.inputs, *(tensor for node in self.nodes for tensor in node.outputs)):
            slots.setdefault(id(tensor), len(slots))
        self._size = len(slots)
        self.input_slots = [slots[id(tensor)] for tensor in self.inputs]
        self.output_slots = [slots[id(tensor)] for tensor in self.outputs]
        self.steps = [_step(node, slots) for node in self.nodes if not node.is_input]
        kept = set(self.output_slots)
        for step in reversed(self.steps):
            used = {slots[id(tensor)] for tensor in step.node.inputs} - kept
            step.dead = sorted(used)
            kept |= used

    def run(self, inputs: list[Any]) -> Any:
        """Call the layers on tensors, one per input, and return the outputs in their structure."""
        values: list[Any] = [None] * self._size
        for slot, value in zip(self.input_slots, inputs, strict=True):
            values[slot] = value
        for step in self.steps:
            if step.only is not None:
                result = step.operation(values[step.only])
            else:
                result = step.operation(*_filled(step.args, values), **_filled(step.kwargs, values))
            if len(step.results) == 1 and not isinstance(result, (list, tuple, dict)):
                values[step.results[0]] = result
            else:
                for slot, value in zip(step.results, tree.flatten(result), strict=True):
                    values[slot] = value
            for slot in step.dead:
                values[slot] = None
        outputs = [values[slot] for slot in self.output_slots]
        alone = len(outputs) == 1 and not isinstance(self.output_tree, dict)  # Keras unpacks a list of one
        return outputs[0] if alone else tree.pack(self.output_tree, outputs)


def _step(node: Node, slots: dict[int, int]) -> Step:
    only = len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], KerasTensor)
    return Step(
        node=node,
        operation=node.operation,
        only=slots[id(node.args[0])] if only else None,
        args=_template(node.args, slots),
        kwargs=_template(node.kwargs, slots),
        results=[slots[id(tensor)] for tensor in node.outputs],
    )


def _template(structure: Any, slots: dict[int, int]) -> Any:
    if isinstance(structure, KerasTensor):
        return _Slot(slots[id(structure)])
    if isinstance(structure, (list, tuple)) and not hasattr(structure, "_fields"):
        return type(structure)(_template(item, slots) for item in structure)
    if isinstance(structure, dict):
        return {key: _template(item, slots) for key, item in structure.items()}
    return structure


def _filled(template: Any, values: list[Any]) -> Any:
    if isinstance(template, _Slot):
        return values[template.index]
    if isinstance(template, (list, tuple)) and not hasattr(template, "_fields"):
        return type(template)([_filled(item, values) for item in template])
    if isinstance(template, dict):
        return {key: _filled(item, values) for key, item in template.items()}
    return template


def _with_fresh_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """A model may start in the middle of another graph: the calls after that point are repeated on new inputs."""
    flat = tree.flatten(inputs)
    if all(tensor.node is not None and tensor.node.is_input for tensor in flat):
        return inputs, outputs
    values = {
        id(tensor): tensor
        if tensor.node and tensor.node.is_input
        else Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        for tensor in flat
    }
    fresh = [values[id(tensor)] for tensor in flat]
    return tree.pack(inputs, fresh), replay(tree.flatten(outputs), values, outputs)


def replay(outputs: list[KerasTensor], values: dict[int, Any], structure: Any) -> Any:
    """Repeat the calls that lead to ``outputs`` on other tensors: ``values`` maps id(old tensor) to the new one."""
    stack = [(output.node, output) for output in reversed(outputs)]
    while stack:
        node, tensor = stack[-1]
        if id(tensor) in values or node is None or node.is_input:
            values.setdefault(id(tensor), tensor)
            stack.pop()
            continue
        missing = [(parent.node, parent) for parent in node.inputs if id(parent) not in values]
        if missing:
            stack += reversed(missing)
            continue
        slots = {id(parent): index for index, parent in enumerate(node.inputs)}
        operands = [values[id(parent)] for parent in node.inputs]
        result = node.operation(
            *_filled(_template(node.args, slots), operands), **_filled(_template(node.kwargs, slots), operands)
        )
        for old, new in zip(node.outputs, symbolic_leaves(result), strict=True):
            values[id(old)] = new
    return tree.pack(structure, [values[id(output)] for output in outputs])


__all__ = ["Graph", "Input", "InputLayer", "Operation", "Step", "replay"]
