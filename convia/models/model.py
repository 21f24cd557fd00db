"""Model: layers that are trained together, as a graph between inputs and outputs or as a subclass with ``call``."""

from typing import Any, Self

import torch
from torch import Tensor

from convia import config, saving, symbolic, tree
from convia.errors import explain, nearest
from convia.export import Card, export_model
from convia.export import card as card_of
from convia.graph import Graph
from convia.input_spec import InputSpec
from convia.layer import Layer, specs_of
from convia.models import configs, states, summary
from convia.saving import kept
from convia.symbolic import KerasTensor
from convia.training import plans, quantized
from convia.training.features import Features
from convia.training.trainer import Trainer


class Model(Trainer):
    """A network that can be trained.

    Either functional, ``Model(inputs, outputs)`` from symbolic tensors (or lists and dicts of them), or a subclass
    that makes layers in ``__init__`` and uses them in ``call(inputs, training=None)``.
    """

    _namespace = "keras"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        functional = len(args) >= 2 or {"inputs", "outputs"} & kwargs.keys()
        chosen: Any = Functional if cls is Model and functional else cls
        made: Self = super().__new__(chosen)
        object.__setattr__(made, "_recomputation", None)  # its layers have their own
        return made

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._start_training_books()
        if outputs is not None:
            self._set_graph(Graph(inputs, outputs, who=f"{type(self).__name__} {self.name!r}"))
        if not trainable:
            self.trainable = False

    graph: Graph | None = None
    class_names = kept.Kept(kept.class_names, "The names of the classes, in the order of the outputs; files keep them.")
    preprocessing = kept.Kept(
        kept.preprocessing, "What is done to images before the model sees them, a ``Preprocessing``; files keep it."
    )

    def _set_graph(self, graph: Graph) -> None:
        object.__setattr__(self, "graph", graph)
        for layer in graph.layers:
            self._modules[layer.name.replace(".", "_")] = layer
        specs = [
            InputSpec(shape=(None, *tensor.shape[1:]), allow_last_axis_squeeze=True, name=tensor.name)
            for tensor in graph.inputs
        ]
        object.__setattr__(self, "input_spec", specs)
        object.__setattr__(self, "built", True)
        object.__setattr__(
            self, "_build_shapes", {"input_shape": tree.map_structure(lambda t: t.shape, graph.input_tree)}
        )

    # -- structure ----------------------------------------------------------------------------------------------

    def sublayers(self) -> list[Layer]:
        """Return the layers of the graph, then those that attributes hold."""
        in_graph = self.graph.layers if self.graph else []
        known = {id(layer) for layer in in_graph}
        return in_graph + [layer for layer in super().sublayers() if id(layer) not in known]

    @property
    def layers(self) -> list[Layer]:
        """The layers in Keras's order; those within nested models are theirs."""
        return self.sublayers()

    @property
    def operations(self) -> list[Any]:
        """The layers and the functions of the graph."""
        return self.graph.operations if self.graph else self.layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by position.

        Raises:
            ValueError: neither or both given; no such layer.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(explain("get_layer", f"name={name!r}, index={index!r}", "either a name or an index"))
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    explain("get_layer", f"index={index}", f"less than {len(layers)}, the number of layers")
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            explain("get_layer", repr(name), f"the name of a layer of {self.name!r}", nearest(str(name), names))
        )

    def _graph_or_refusal(self, what: str) -> Graph:
        if self.graph is None:
            raise AttributeError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    f"a question for its {what}",
                    "a model with a graph",
                    "Subclassed models have none; a Sequential has one once its input shape is known.",
                )
            )
        return self.graph

    @property
    def input(self) -> Any:
        """The symbolic inputs, as they were given."""
        return self._graph_or_refusal("input").input_tree

    @property
    def output(self) -> Any:
        """The symbolic outputs, as they were given."""
        return self._graph_or_refusal("output").output_tree

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs as a flat list."""
        return self._graph_or_refusal("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs as a flat list."""
        return self._graph_or_refusal("outputs").outputs

    @property  # type: ignore[misc]  # a hint for layers
    def input_shape(self) -> Any:
        """The shape of the input, or a list of shapes."""
        return _one_or_all([tensor.shape for tensor in self.inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of shapes."""
        return _one_or_all([tensor.shape for tensor in self.outputs])

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [tensor.node.operation.name for tensor in self.inputs if tensor.node]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that make the outputs."""
        return [tensor.node.operation.name for tensor in self.outputs if tensor.node]

    # -- building and calling -----------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of a subclassed model by running it once on shapes alone."""
        if self.graph is not None or input_shape is None:
            return
        inputs = specs_of(input_shape, config.floatx())
        symbolic.infer(self._built_call, (inputs,), {})

    def _built_call(self, inputs: Any) -> Any:
        object.__setattr__(self, "built", True)
        return self(inputs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the graph on tensors, or what is left of it on features."""
        if isinstance(inputs, Features):
            return inputs.finish()
        if self.graph is None:
            raise NotImplementedError(
                explain(
                    f"Model {self.name!r}",
                    "a call",
                    "a method call(self, inputs) in the subclass, or inputs and outputs",
                )
            )
        return self.graph.run(self._arranged(inputs))

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.graph is not None and args:
            args = (self._in_order(args[0]), *args[1:])
        return super()._record(args, kwargs)

    def _in_order(self, inputs: Any) -> Any:
        """Inputs given by name to a model whose inputs are a list, or the other way round."""
        wanted = self.graph.input_tree  # type: ignore[union-attr]
        if isinstance(inputs, dict) and not isinstance(wanted, dict):
            names = self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(explain(f"Model {self.name!r}", f"inputs {sorted(inputs)}", f"the inputs {names}"))
            chosen = [inputs[name] for name in names]
            return chosen if tree.is_nested(wanted) else chosen[0]
        return inputs

    def _arranged(self, inputs: Any) -> list[Tensor]:
        graph = self.graph
        assert graph is not None
        flat = [inputs] if isinstance(inputs, Tensor) else self._flat_inputs(inputs)
        if len(flat) != len(graph.inputs):
            raise ValueError(
                explain(
                    f"Model {self.name!r}", f"{len(flat)} inputs", f"{len(graph.inputs)}: {', '.join(self.input_names)}"
                )
            )
        return [self._fitted(value, spec) for value, spec in zip(flat, graph.inputs, strict=True)]

    def _flat_inputs(self, inputs: Any) -> list[Any]:
        inputs = self._in_order(inputs)
        wanted = self.graph.input_tree  # type: ignore[union-attr]
        if isinstance(inputs, dict) and isinstance(wanted, dict):
            inputs = {key: inputs[key] for key in wanted if key in inputs}
        return tree.flatten(inputs)

    def _fitted(self, value: Tensor, spec: KerasTensor) -> Tensor:
        """Give a tensor the input's type, add or drop a last axis of one, and check the sizes."""
        if value.dtype is not (dtype := config.torch_dtype(spec.dtype)) and not (
            value.is_floating_point() and dtype.is_floating_point
        ):
            value = value.to(dtype)
        shape = value.shape
        if len(shape) != len(spec.shape):
            if len(shape) == len(spec.shape) - 1 and spec.shape[-1] == 1:
                value = value.unsqueeze(-1)
            elif len(shape) == len(spec.shape) + 1 and shape[-1] == 1:
                value = value.squeeze(-1)
            shape = value.shape
        if len(shape) != len(spec.shape) or any(
            want is not None and want != have for want, have in zip(spec.shape[1:], shape[1:], strict=True)
        ):
            raise ValueError(
                explain(
                    f"Model {self.name!r}, input {spec.name!r}",
                    f"data of shape {tuple(shape)}",
                    f"shape {spec.shape}",
                    _input_hint(tuple(shape), spec.shape),
                )
            )
        return value

    # -- looking at it ------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the table of layers, output shapes and numbers of parameters."""
        summary.print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def count_params(self) -> int:
        """Return the number of weights' elements."""
        if not self.built:
            return super().count_params()
        return sum(variable.numel() for variable in self.weights)

    def get_config(self) -> dict[str, Any]:
        """Return the graph as a config in Keras's format; a subclassed model only has a name."""
        if self.graph is not None and type(self) in (Functional, Model):
            return configs.graph_config(self)
        return {"name": self.name, "trainable": self.trainable, "dtype": super().get_config()["dtype"]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from its config."""
        if "layers" in config and "input_layers" in config:
            return configs.functional_from_config(Functional if cls is Model else cls, config, custom_objects)
        return cls(**config)

    # -- one step, from outside --------------------------------------------------------------------------------

    def make_train_function(self, force: bool = False) -> Any:
        """Return ``train_function``: of a list with one batch, it learns from it and returns the metrics.

        For loops of your own; ``fit`` calls ``train_step`` itself, which is what to override.
        """
        return self._step_function("train", force)

    def make_test_function(self, force: bool = False) -> Any:
        """Return ``test_function``: of a list with one batch, it returns the metrics."""
        return self._step_function("test", force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Return ``predict_function``: of a list with one batch, it returns the outputs."""
        return self._step_function("predict", force)

    def _step_function(self, kind: str, force: bool) -> Any:
        if force or getattr(self, f"{kind}_function", None) is None:
            step = getattr(self, f"{kind}_step")

            def function(data: Any) -> Any:
                with torch.set_grad_enabled(kind == "train"):
                    return step(data[0])

            object.__setattr__(self, f"{kind}_function", function)
        return getattr(self, f"{kind}_function")

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return weights, optimizer and metrics as nested dictionaries by path; "numpy_array" for copies."""
        return states.read(self, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Set what ``get_state_tree`` returned, or part of it."""
        states.write(self, state_tree)

    # -- files --------------------------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Write the model to a ``.keras`` (or ``.h5``) file: architecture, weights, state of training."""
        saving.save_model(self, filepath, overwrite, zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write the weights, and the optimizer's state, to a ``.weights.h5`` file."""
        saving.save_weights(self, filepath, overwrite, max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, **kwargs: Any) -> None:
        """Read weights from a ``.weights.h5``, ``.keras`` or legacy ``.h5`` file; ``by_name`` is for the last."""
        saving.load_weights(self, filepath, skip_mismatch, by_name or None, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as JSON; ``kwargs`` go to ``json.dumps``."""
        return saving.to_json(self, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str | None = None,
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write the inference for other programs: ``.onnx``, OpenVINO's ``.xml``, torch's ``.pt2`` or ``.pt``."""
        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def quantize(
        self,
        mode: str | None = None,
        config: Any = None,
        filters: Any = None,
        calibration_data: Any = None,
        batch_size: int = 32,
    ) -> None:
        """Let ``predict`` and ``evaluate`` compute in 8 bits by the CPU engine: quicker, and a little less exact.

        Kernels are rounded for each output channel, activations in ranges that ``calibration_data`` shows. The weights
        stay as they are: calls of the model and ``export`` compute in floats. Files keep the ranges. A quantized
        model is not trained: ``quantize("float32")`` goes back.

        Args:
            mode: "int8", or "float32" to compute in floats again.
            config: None; Keras's configurations quantize weights alone.
            filters: None; all convolutions and dense layers are quantized that the engine can compute in 8 bits.
            calibration_data: samples as ``predict`` takes them, a hundred or more of those that the model will see.
            batch_size: samples at once, where ``calibration_data`` are arrays.

        Raises:
            ValueError: another argument, or a layer that the engine does not know, which is named.
        """
        for name, value in (("config", config), ("filters", filters)):
            if value is not None:
                raise ValueError(explain(f"quantize of {self.name!r}, {name!r}", repr(value), "None"))
        quantized.quantize(self, mode, calibration_data, batch_size)

    def card(self) -> Card:
        """Return what the model is, what it costs and how well it does; shown as Markdown, ``json()`` as JSON."""
        return card_of(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = type(self).from_config(self.get_config())
        memo[id(self)] = copy
        if copy.built:
            copy.set_weights(self.get_weights())
            plans.set_ranges(copy, plans.ranges(self))
        return copy


class Functional(Model, init=False):
    """A model with a graph from inputs to outputs; what ``Model(inputs, outputs)`` returns."""


def _input_hint(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    if len(shape) == len(wanted) - 1:
        if shape == wanted[1:]:
            return "One sample was given instead of a batch: use x[None]."
        return "An axis is missing; grey images need a channel axis: x[..., None]."
    if len(shape) == 4 and len(wanted) == 4 and (shape[0], shape[2], shape[3], shape[1])[1:] == wanted[1:]:
        return "The channels are on axis 1; use numpy.moveaxis(x, 1, -1), or data_format='channels_first'."
    return "Reshape or resize the data, or change the input shape of the model."


def _one_or_all(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items
