"""Sequential: a stack of layers, one input, one output."""

from typing import Any

from convia import config, registry
from convia.errors import explain
from convia.graph import Graph, Input, InputLayer
from convia.layer import Layer
from convia.models.model import Model
from convia.symbolic import KerasTensor


class Sequential(Model):
    """A stack of layers, each fed with the output of the one before.

    Its input shape comes from an ``Input`` as the first entry, from ``input_shape=`` of the first layer, from
    ``build(input_shape)`` or from the first data it sees.

    Args:
        layers: the stack from input to output; more can be added.
    """

    _namespace = "keras"

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        self._stack: list[Layer]
        self._input: KerasTensor | None
        object.__setattr__(self, "_stack", [])
        object.__setattr__(self, "_input", None)
        super().__init__(name=name)
        for layer in layers or ():
            self.add(layer, rebuild=False)
        self._rebuild()
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer on top.

        Raises:
            TypeError: not a layer. ValueError: a second layer of that name, an input that is not the first.
        """
        if isinstance(layer, KerasTensor):
            layer = layer.node.operation if layer.node else layer
        if isinstance(layer, InputLayer):
            self._set_input(layer.output)
        else:
            self._push(layer)
        if rebuild:
            self._rebuild()

    def _set_input(self, tensor: KerasTensor) -> None:
        if self._stack or self._input is not None:
            raise ValueError(
                explain(
                    f"Sequential {self.name!r}",
                    f"an input {tensor.name!r} after other layers",
                    "one input, as the first entry",
                )
            )
        object.__setattr__(self, "_input", tensor)

    def _push(self, layer: Any) -> None:
        if not isinstance(layer, Layer):
            remedy = "Make an instance: write the parentheses." if isinstance(layer, type) else "Wrap it in a Layer."
            raise TypeError(explain(f"Sequential {self.name!r}", repr(layer), "a layer", remedy))
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(
                explain(
                    f"Sequential {self.name!r}",
                    f"a second layer named {layer.name!r}",
                    "a different name for each layer",
                )
            )
        if not self._stack and self._input is None:
            hint = layer.input_shape_hint
            if hint is None and isinstance(layer, Model) and layer.graph is not None:
                hint = layer.input_shape
            if hint is not None:
                kind = layer._hints.get("input_dtype") or config.floatx()
                object.__setattr__(self, "_input", Input(batch_shape=hint, dtype=kind))
        self._stack.append(layer)
        self._modules[layer.name.replace(".", "_")] = layer

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer off and return it.

        Raises:
            TypeError: there is none.
        """
        if not self._stack:
            raise TypeError(explain(f"Sequential {self.name!r}", "pop()", "at least one layer"))
        layer = self._stack.pop()
        self._modules.pop(layer.name.replace(".", "_"), None)
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        object.__setattr__(self, "graph", None)
        object.__setattr__(self, "built", False)
        if self._input is None or not self._stack:
            return
        x: Any = self._input
        for layer in self._stack:
            x = layer(x)
        self._set_graph(Graph(self._input, x, who=f"Sequential {self.name!r}"))
        self._forget_compiled_functions()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of a shape (batch included)."""
        if self.graph is not None or input_shape is None:
            return
        if not self._stack:
            raise ValueError(
                explain(f"Sequential {self.name!r}", "build()", "at least one layer", "add() layers first.")
            )
        kind = self._stack[0]._hints.get("input_dtype") or config.floatx()
        object.__setattr__(self, "_input", Input(batch_shape=(None, *tuple(input_shape)[1:]), dtype=kind))
        self._rebuild()

    def sublayers(self) -> list[Layer]:
        """Return the stack; an input is not counted as a layer."""
        return list(self._stack)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the stack on a tensor."""
        if self.graph is not None:
            return super().call(inputs)
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the stack as a config in Keras's format."""
        layers: list[Any] = [registry.serialize(layer) for layer in self._stack]
        if self._input is not None:
            layers.insert(0, registry.serialize(self._input.node.operation))  # type: ignore[union-attr]
        built = {"build_input_shape": self._input.shape} if self._input is not None else {}
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": Layer.get_config(self)["dtype"],
            "layers": layers,
            **built,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from its config."""
        with registry.custom_object_scope(custom_objects or {}):
            layers = [registry.deserialize(layer, namespace="keras.layers") for layer in config["layers"]]
        model = cls(layers, name=config.get("name"))
        if model.graph is None and config.get("build_input_shape"):
            model.build(config["build_input_shape"])
        if config.get("trainable") is False:
            model.trainable = False
        return model
