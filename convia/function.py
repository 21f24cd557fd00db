"""Graphs of operations as functions, and what lies before a symbolic tensor."""

from typing import Any

from convia import symbolic, tree
from convia.errors import explain
from convia.graph import Graph
from convia.symbolic import KerasTensor, Operation

__all__ = ["Function", "get_source_inputs"]


class Function(Operation):
    """The calls between symbolic tensors as one operation, without the weights and training of a model.

    Args:
        inputs, outputs: symbolic tensors, or nested structures of them.
        name: of the operation.

    Raises:
        ValueError: no inputs, no outputs, or outputs that need other tensors than the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name)
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            if not tree.flatten(structure):
                raise ValueError(explain(f"Function, argument {what!r}", repr(structure), "at least one tensor"))
        self._structure = inputs
        self._graph = Graph(inputs, outputs, "Function")

    @property
    def operations(self) -> list[Any]:
        """The operations in order of execution, those of the inputs first."""
        return list(self._graph.operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return tree.flatten(self._structure)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return list(self._graph.outputs)

    def call(self, inputs: Any) -> Any:
        """Compute the outputs.

        Raises:
            ValueError: inputs in another structure, or of another shape.
        """
        self._check(inputs)
        outputs = self._graph.run(tree.flatten(inputs))
        structure = self._graph.output_tree
        alone = len(self._graph.outputs) == 1 and not isinstance(structure, dict)
        return tree.pack(structure, [outputs]) if alone else outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs for shapes of the inputs."""
        shapes: list[Any] = []
        tree.map_shape_structure(shapes.append, input_shape)
        specs = [KerasTensor(shape, given.dtype) for shape, given in zip(shapes, self.inputs, strict=True)]
        outputs = symbolic.infer(self.call, (tree.pack(self._structure, specs),), {})
        return tree.map_structure(lambda tensor: tensor.shape, outputs)

    def _check(self, inputs: Any) -> None:
        who = f"Function {self.name!r}"
        try:
            tree.assert_same_structure(inputs, self._structure)
        except ValueError as error:
            raise ValueError(explain(who, "inputs in another structure", repr(self._structure), str(error))) from None
        for given, wanted in zip(tree.flatten(inputs), self.inputs, strict=True):
            pairs = zip(given.shape, wanted.shape, strict=False)
            if len(given.shape) != len(wanted.shape) or any(None not in (a, b) and a != b for a, b in pairs):
                raise ValueError(explain(f"{who}, {wanted.name!r}", f"shape {tuple(given.shape)}", f"{wanted.shape}"))


def get_source_inputs(tensor: Any) -> Any:
    """Return the symbolic tensors that a symbolic tensor depends on and that depend on nothing themselves."""
    if not isinstance(tensor, KerasTensor):
        return tensor
    if tensor.node is None:
        return [tensor]
    if tensor.node.is_input:
        return tensor.node.outputs
    found: dict[int, KerasTensor] = {}
    for before in tensor.node.inputs:
        found.update({id(source): source for source in get_source_inputs(before)})
    return list(found.values())
