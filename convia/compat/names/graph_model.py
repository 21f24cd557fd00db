"""``keras.models.Graph`` of Keras 0.x and 1: a model whose parts are added by name; data go in and out as dicts."""

from collections.abc import Iterator, Mapping
from typing import Any

from convia.compat.grafts.models import compile_arguments
from convia.compat.names.layers import merge
from convia.compat.report import note
from convia.errors import explain, nearest
from convia.graph import Input
from convia.models import Model


class Graph:
    """A model of named nodes: ``add_input``, ``add_node``, ``add_output``, then as any model, with data by name.

    What it does not have itself is asked of the model that the nodes make.
    """

    def __init__(self, name: str | None = None) -> None:
        note("Graph", "Model")
        self._name = name
        self._tensors: dict[str, Any] = {}
        self._model: Model | None = None
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.nodes: dict[str, Any] = {}

    def add_input(
        self, name: str, input_shape: Any = None, batch_input_shape: Any = None, dtype: str = "float", **ignored: Any
    ) -> None:
        """Add an input of a shape, without the batch or with it."""
        kind = {"float": "float32", "int": "int32"}.get(dtype, dtype)
        given = {"shape": input_shape} if batch_input_shape is None else {"batch_shape": batch_input_shape}
        self.inputs[name] = self._tensors[name] = Input(**given, dtype=kind, name=name)
        self._model = None

    def add_node(self, layer: Any, name: str, input: str | None = None, inputs: Any = (), merge_mode: Any = "concat",
                 concat_axis: int = -1, dot_axes: Any = -1, create_output: bool = False) -> None:  # fmt: skip
        """Add a layer or model that works on a node, or on several, joined by ``merge_mode``."""
        joined = self._joined(f"add_node, {name!r}", input, inputs, merge_mode, concat_axis, dot_axes)
        self.nodes[name] = layer
        self._tensors[name] = layer(joined)
        self._model = None
        if create_output:
            self.add_output(name, input=name)

    def add_shared_node(self, layer: Any, name: str, inputs: Any = (), merge_mode: Any = None, concat_axis: int = -1,
                        dot_axes: Any = -1, outputs: Any = (), create_output: bool = False) -> None:  # fmt: skip
        """Add a layer that works on each of several nodes; its results are joined, or named by ``outputs``."""
        self.nodes[name] = layer
        results = [layer(self._tensor(f"add_shared_node, {name!r}", node)) for node in inputs]
        self._tensors.update(zip(outputs, results, strict=False))
        if merge_mode is not None:
            self._tensors[name] = merge(results, merge_mode, concat_axis, dot_axes)
        self._model = None
        if create_output:
            for node in [name] if merge_mode is not None else outputs:
                self.add_output(node, input=node)

    def add_output(self, name: str, input: str | None = None, inputs: Any = (), merge_mode: Any = "concat",
                   concat_axis: int = -1, dot_axes: Any = -1) -> None:  # fmt: skip
        """Make a node, or several that are joined, an output."""
        self.outputs[name] = self._joined(f"add_output, {name!r}", input, inputs, merge_mode, concat_axis, dot_axes)
        self._model = None

    def _tensor(self, who: str, name: str) -> Any:
        if name not in self._tensors:
            remedy = nearest(name, sorted(self._tensors))
            raise ValueError(explain(f"Graph.{who}", f"the node {name!r}", "a node that was added before", remedy))
        return self._tensors[name]

    def _joined(self, who: str, single: str | None, several: Any, mode: Any, axis: int, dot_axes: Any) -> Any:
        if single is not None:
            return self._tensor(who, single)
        tensors = [self._tensor(who, name) for name in several]
        return tensors[0] if len(tensors) == 1 else merge(tensors, mode, axis, dot_axes)

    @property
    def model(self) -> Model:
        """The model that the nodes make."""
        if self._model is None:
            self._model = Model(list(self.inputs.values()), list(self.outputs.values()), name=self._name)
        return self._model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.model, name)

    def __call__(self, inputs: Any) -> Any:
        return self.model(inputs)

    # -- data by name -------------------------------------------------------------------------------------------------

    def compile(self, optimizer: Any, loss: Any, metrics: Any = (), sample_weight_modes: Any = None,
                loss_weights: Any = None, **kwargs: Any) -> None:  # fmt: skip
        """Choose how to train: a loss for each output, by name."""
        losses = [loss[name] for name in self.outputs] if isinstance(loss, Mapping) else loss
        weights = [loss_weights.get(name, 1.0) for name in self.outputs] if isinstance(loss_weights, Mapping) else None
        chosen = [list(metrics)] * len(self.outputs) if metrics else None
        given = {"optimizer": optimizer, "loss": losses, "metrics": chosen, "loss_weights": weights, **kwargs}
        self.model.compile(**compile_arguments(self.model, (), given)[1])

    def _split(self, data: Any) -> tuple[list[Any], list[Any]]:
        return [data[name] for name in self.inputs], [data[name] for name in self.outputs if name in data]

    def _batches(self, generator: Any) -> Iterator[Any]:
        for item in generator:
            data, *weights = item if isinstance(item, tuple) else (item,)
            yield (*map(tuple, self._split(data)), *(tuple(w[name] for name in self.outputs) for w in weights))

    def fit(self, data: Any, batch_size: int = 128, nb_epoch: int = 100, validation_data: Any = None,
            sample_weight: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        """Train on a dict of the inputs and targets by name."""
        kwargs = {key: value for key, value in kwargs.items() if key != "show_accuracy"}
        held = self._split(validation_data) if validation_data is not None else None
        weights = [sample_weight[name] for name in self.outputs] if sample_weight else None
        return self.model.fit(*self._split(data), batch_size=batch_size, epochs=kwargs.pop("epochs", nb_epoch),
                              validation_data=held, sample_weight=weights, **kwargs)  # fmt: skip

    def fit_generator(self, generator: Any, samples_per_epoch: Any, nb_epoch: int, validation_data: Any = None,
                      **kwargs: Any) -> Any:  # fmt: skip
        """Train on a generator of such dicts."""
        if isinstance(validation_data, Mapping):
            validation_data = self._split(validation_data)
        elif validation_data is not None:
            validation_data = self._batches(validation_data)
        train: Any = getattr(self.model, "fit_generator")  # noqa: B009  # lent while eras are in use
        return train(self._batches(generator), samples_per_epoch, nb_epoch, validation_data=validation_data, **kwargs)

    def evaluate(self, data: Any, batch_size: int = 128, verbose: int = 0, **kwargs: Any) -> Any:
        """Return the loss and metrics on a dict of data."""
        kwargs.pop("show_accuracy", None)
        return self.model.evaluate(*self._split(data), batch_size=batch_size, verbose=verbose, **kwargs)

    def predict(self, data: Any, batch_size: int = 128, verbose: int = 0) -> dict[str, Any]:
        """Return the outputs by name."""
        return self._by_name(self.model.predict(self._split(data)[0], batch_size=batch_size, verbose=verbose))

    def predict_on_batch(self, data: Any) -> dict[str, Any]:
        """Return the outputs of a batch by name."""
        return self._by_name(self.model.predict_on_batch(self._split(data)[0]))

    def _by_name(self, found: Any) -> dict[str, Any]:
        return dict(zip(self.outputs, found if isinstance(found, list) else [found], strict=True))

    def train_on_batch(self, data: Any, **kwargs: Any) -> Any:
        """Train on one batch."""
        return self.model.train_on_batch(*self._split(data), **kwargs)

    def test_on_batch(self, data: Any, **kwargs: Any) -> Any:
        """Measure on one batch."""
        return self.model.test_on_batch(*self._split(data), **kwargs)


__all__ = ["Graph"]
