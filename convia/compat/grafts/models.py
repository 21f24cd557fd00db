"""What models of older eras could do: generators, classes, names of metrics, lists of layers."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convia import optimizers, tree
from convia.compat import arguments, eras
from convia.compat.door import Lent, from_outside, graft, graft_all, wrap
from convia.compat.grafts import accuracy
from convia.compat.grafts.mentions import mentions
from convia.compat.grafts.symbols import extras_of
from convia.compat.names.metrics import OF_BATCHES
from convia.compat.report import note
from convia.engine import Unsupported
from convia.graph import Graph
from convia.layer import _call as calls
from convia.losses import Loss
from convia.metrics import Metric
from convia.models import Model, Sequential
from convia.symbolic import tracing
from convia.training import plans
from convia.training.compiled import Compiled

_KERAS1_FIT = "generator samples_per_epoch nb_epoch verbose callbacks validation_data nb_val_samples class_weight"
_KERAS2_FIT = "generator steps_per_epoch epochs verbose callbacks validation_data validation_steps class_weight"
_MORE_FIT = {
    "keras1": "max_q_size nb_worker pickle_safe",
    "keras2": "max_queue_size workers use_multiprocessing shuffle initial_epoch",
    "tfkeras": "max_queue_size workers use_multiprocessing shuffle initial_epoch",
}


def _named(names: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names.split(), args, strict=False)), **kwargs}


def _batches(samples: Any, generator: Any) -> tuple[Any, Any]:
    """Return the generator, and in how many batches it yields so many samples; Keras 1 counted samples."""
    size = getattr(generator, "batch_size", None)
    if not size:
        iterator = iter(generator)
        first = next(iterator)
        generator = itertools.chain([first], iterator)
        part = first[0] if isinstance(first, (tuple, list)) else first
        part = next(iter(part.values())) if isinstance(part, dict) else part[0] if isinstance(part, list) else part
        size = len(part)
    return generator, math.ceil(samples / size)


class ModelMethods:
    """Lent to every model."""

    def fit_generator(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Train on a generator; Keras 1 counted samples, Keras 2 batches."""
        note("fit_generator", "fit")
        era = eras.current()
        first = _KERAS1_FIT if era == "keras1" else _KERAS2_FIT
        given = _named(f"{first} {_MORE_FIT.get(era, '')}", args, kwargs)
        generator = given.pop("generator")
        samples, validation = given.pop("samples_per_epoch", None), given.get("validation_data")
        if samples is not None:
            generator, given["steps_per_epoch"] = _batches(samples, generator)
        of_validation = given.pop("nb_val_samples", None)
        if of_validation is not None and not isinstance(validation, (tuple, list, type(None))):
            given["validation_data"], given["validation_steps"] = _batches(of_validation, validation)
        if isinstance(validation, (tuple, list)):
            given.pop("validation_steps", None)
        return _outside(self.fit, generator, given)

    def evaluate_generator(self: Any, generator: Any, steps: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Measure on a generator."""
        note("evaluate_generator", "evaluate")
        generator, steps = _samples_or_steps(generator, steps, kwargs)
        kwargs.setdefault("verbose", 0)
        return _outside(self.evaluate, generator, {"steps": steps, **kwargs})

    def predict_generator(self: Any, generator: Any, steps: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for what a generator yields."""
        note("predict_generator", "predict")
        generator, steps = _samples_or_steps(generator, steps, kwargs)
        kwargs.setdefault("verbose", 0)
        return _outside(self.predict, generator, {"steps": steps, **kwargs})

    def predict_classes(self: Any, x: Any, batch_size: Any = 32, verbose: Any = 0) -> np.ndarray:
        """Return the class of the greatest output, (N,); for one output whether it is over 0.5, (N, 1)."""
        note("predict_classes", "predict().argmax(-1)")
        outputs = self.predict(x, batch_size=batch_size, verbose=verbose)
        classes: np.ndarray = outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")
        return classes

    def predict_proba(self: Any, x: Any, batch_size: Any = 32, verbose: Any = 0) -> np.ndarray:
        """Return the outputs."""
        note("predict_proba", "predict")
        shares: np.ndarray = self.predict(x, batch_size=batch_size, verbose=verbose)
        return shares

    def to_yaml(self: Any, **kwargs: Any) -> str:
        """Return the architecture as JSON, which is YAML too."""
        text: str = self.to_json(**kwargs)
        return text

    def get_output_shape(self: Any) -> Any:
        """Return the shape of the output."""
        return self.output_shape

    @Lent
    def _is_compiled(self: Any) -> bool:
        """Whether it is compiled, under the name that private code of older eras used."""
        return bool(self.compiled)

    @property
    def uses_learning_phase(self: Any) -> bool:
        """Whether training differs from inference."""
        return any(layer._takes_training for layer in self._flatten_layers())

    @property
    def total_loss(self: Any) -> Any:
        """The symbolic loss, of the penalties that are known without data."""
        return sum(self._symbolic_losses[1:], self._symbolic_losses[0]) if self._symbolic_losses else None

    def reset_states(self: Any) -> None:
        """Forget the states of recurrent layers."""
        for layer in self._flatten_layers(include_self=False):
            for name in ("reset_states", "reset_state"):
                if callable(getattr(layer, name, None)):
                    getattr(layer, name)()
                    break


def _only_class_weights(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Keras 1 and 2 knew class weights per output, by number or by name, and passed over what else was given."""
    weights = given.get("class_weight")
    if eras.current() not in eras.STANDALONE or weights is None:
        return given
    names = getattr(model, "output_names", None) or [""]
    if isinstance(weights, dict) and any(isinstance(key, str) for key in weights):
        weights = [weights.get(name) for name in names]
    if isinstance(weights, (list, tuple)) and len(names) == 1:
        weights = weights[0] if len(weights) == 1 else None
    if isinstance(weights, (dict, list, tuple)):
        return {**given, "class_weight": weights}
    note("class_weight without classes")
    return {key: value for key, value in given.items() if key != "class_weight"}


def _outside(method: Callable[..., Any], generator: Any, given: dict[str, Any]) -> Any:
    """Call a method of a model as the program would: its arguments are to be translated."""
    table = arguments.rows(arguments.METHODS)[method.__name__]
    for old in [name for name in given if name in table]:
        new, value = table[old], given.pop(old)
        if new:
            given.setdefault(new, value)
    _, given = accuracy.shown(method.__self__, (), given)  # type: ignore[attr-defined]
    return method(generator, **_only_class_weights(method.__self__, given))  # type: ignore[attr-defined]


def _samples_or_steps(generator: Any, steps: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    samples = kwargs.pop("val_samples", steps if eras.current() == "keras1" else None)
    return _batches(samples, generator) if samples is not None else (generator, steps)


# -- compile ----------------------------------------------------------------------------------------------------------


def _era_metric(metric: Any) -> Any:
    if isinstance(metric, (list, tuple)):
        return [_era_metric(item) for item in metric]
    if isinstance(metric, dict):
        return {key: _era_metric(item) for key, item in metric.items()}
    if eras.current() not in eras.STANDALONE or not isinstance(metric, str):
        return metric
    if eras.current() == "keras1" and metric in OF_BATCHES:
        return OF_BATCHES[metric]
    return "acc" if metric == "accuracy" else arguments.METRICS.get(metric.lower(), metric)


def compile_arguments(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keras 1 and 2 call the accuracy acc; defaults of optimizers and losses with symbolic tensors in them."""
    kwargs = tree.map_structure(lambda leaf: getattr(leaf, "of_today", leaf), kwargs)
    given = _named("optimizer loss metrics loss_weights" if eras.current() in eras.OLD else
                   "optimizer loss loss_weights metrics weighted_metrics", args, kwargs)  # fmt: skip
    if isinstance(metrics := given.get("metrics"), (str, list, tuple, dict)):
        given["metrics"] = _era_metric([metrics] if isinstance(metrics, str) else metrics)
    optimizer = given.get("optimizer", "rmsprop")
    if isinstance(optimizer, str):
        known = {name.lower(): name for name in arguments.DEFAULTS[eras.current()]}
        name = known.get(optimizer.lower())
        if name is not None and hasattr(optimizers, name):
            defaults = arguments.DEFAULTS[eras.current()][name]
            given["optimizer"] = getattr(optimizers, name)(**defaults)
    if getattr(model, "graph", None) is not None:
        given |= {key: _with_numbers(model, given[key]) for key in ("loss", "metrics") if given.get(key) is not None}
    return (), given


def _with_numbers(model: Any, given: Any) -> Any:
    """Losses and metrics that mention symbolic tensors find numbers there; the others as they are."""
    if isinstance(given, dict):
        return {key: _with_numbers(model, item) for key, item in given.items()}
    if isinstance(given, (list, tuple)):
        return [_with_numbers(model, item) for item in given]
    is_plain = callable(given) and not isinstance(given, (type, Loss, Metric))
    return extras_of(model).stand_in(given) if is_plain and mentions(given) else given


def _collecting(original: Callable[..., None]) -> Callable[..., None]:
    """Keras 1 and 2 noted at ``compile`` what learns; ``trainable`` set later counted for later models (GANs)."""

    @functools.wraps(original)
    def compile_(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if eras.current() in eras.OLD and isinstance(self.optimizer, optimizers.Optimizer):
            if self.optimizer.built or "_era_used" in vars(self.optimizer):
                object.__setattr__(self, "optimizer", _for_another(self.optimizer))
            self.optimizer.__dict__["_era_used"] = True
        noted = eras.current() in eras.STANDALONE and self.built
        self.__dict__["_era_learned"] = list(self.trainable_variables) if noted else None

    return compile_


def _for_another(optimizer: Any) -> Any:
    """An optimizer of another model too: with state of its own, but one learning rate and one count of steps."""
    copy = type(optimizer).from_config(optimizer.get_config())
    copy._iterations, copy._learning_rate = optimizer._iterations, optimizer._learning_rate
    copy.__dict__.update({key: value for key, value in vars(optimizer).items() if key in ("_era_base", "decay")})
    return copy


def _learned_variables(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @functools.wraps(original)
    def learned(self: Any) -> list[Any]:
        noted: list[Any] | None = self.__dict__.get("_era_learned")
        if noted is None:
            return original(self)
        if noted and not self.optimizer.built:
            self.optimizer.build(noted)
        return noted

    return learned


def _learning(original: Callable[..., Any]) -> Callable[..., Any]:
    """Weights that were noted learn although they have been frozen since."""

    @functools.wraps(original)
    def learn(self: Any, x: Any, y: Any, weight: Any) -> Any:
        frozen = [v for v in self.__dict__.get("_era_learned") or () if not v.requires_grad]
        for variable in frozen:
            variable.requires_grad_(True)
        try:
            return original(self, x, y, weight)
        finally:
            for variable in frozen:
                variable.requires_grad_(False)

    return learn


def _require(original: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(original)
    def require(model: Any) -> None:
        own = model.__dict__
        if own.get("_era_extras") or own.get("_era_symbolic_losses") or own.get("_era_symbolic_metrics"):
            raise Unsupported(f"model {model.name!r} has losses of symbolic tensors")
        if any(not variable.requires_grad for variable in own.get("_era_learned") or ()):
            raise Unsupported(f"model {model.name!r} learns weights that have been frozen since compile()")
        original(model)

    return require


def _train_on_batch(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = accuracy.shown(model, args, kwargs)
    return args, _only_class_weights(model, kwargs)


def _fit(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Note what callbacks of Keras 1 and 2 are told of the data."""
    args, kwargs = accuracy.shown(model, args, kwargs)
    if eras.current() in eras.STANDALONE:
        given = _named("x y batch_size epochs verbose callbacks validation_split validation_data", args, kwargs)
        kwargs = _only_class_weights(model, kwargs)
        data, validation = tree.flatten(given.get("x")), given.get("validation_data")
        count = len(data[0]) if data and isinstance(data[0], np.ndarray) else None
        if count is not None and given.get("validation_split"):
            count = int(count * (1 - given["validation_split"]))
        if isinstance(validation, (tuple, list)):
            validation = [np.asarray(part) for part in tree.flatten(list(validation))]
            validation += [np.ones(len(validation[0]))]
        model.__dict__["_era_fit"] = {
            "samples": count, "batch_size": given.get("batch_size") or 32, "validation": validation
        }  # fmt: skip
    return args, kwargs


class _CompiledLoss:
    """``compiled_loss`` and ``compiled_metrics`` of tf.keras, for a ``train_step`` of one's own."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None) -> Any:
        model = self._model
        if not model.objective.built:
            model.objective.build(y_true, y_pred, model._output_names())
        loss = sum(regularization_losses or (), model.objective.loss(y_true, y_pred, sample_weight))
        model._note_loss(loss, y_pred)
        return loss

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Feed the metrics."""
        self._model.compute_metrics(None, y_true, y_pred, sample_weight)

    @property
    def metrics(self) -> list[Any]:
        """The metrics."""
        return [metric for metric in self._model.metrics if metric.name != "loss"]

    def reset_state(self) -> None:
        """Start anew."""
        for metric in self._model.metrics:
            metric.reset_state()


# -- layers, inputs and outputs ---------------------------------------------------------------------------------------


def _init(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for old, new in (("input", "inputs"), ("output", "outputs")):
        if old in kwargs:
            note(old, new)
            kwargs[new] = kwargs.pop(old)
    kwargs.pop("dynamic", None)
    return args, kwargs


def _new(original: Callable[..., Any]) -> Callable[..., Any]:
    """``Model(input=, output=)`` is functional too."""

    @functools.wraps(original)
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and {"input", "output"} & kwargs.keys():
            kwargs = {"inputs": None, "outputs": None}
        return original(cls, *args, **kwargs)

    return new


class _Layers(list):  # type: ignore[type-arg]
    """The layers of a model; ``pop`` takes the last one off, as it seemed to in Keras 1 and 2."""

    def __init__(self, layers: Any = (), model: Any = None) -> None:
        super().__init__(layers)
        self._model = model

    def pop(self, index: Any = -1) -> Any:
        layer = super().pop(index)
        if isinstance(self._model, Sequential) and index == -1:
            self._model.pop()
        elif getattr(self._model, "graph", None) is not None:
            self._model.__dict__.setdefault("_era_popped", set()).add(id(layer))
        return layer


def _layers(model: Any) -> list[Any]:
    popped = model.__dict__.get("_era_popped", ())
    return _Layers([layer for layer in model.sublayers() if id(layer) not in popped], model)


def _ends(name: str) -> property:
    """``outputs`` may be assigned, after ``layers.pop()``; what is asked for is then what was set."""
    original = getattr(Model, name)

    def get(self: Any) -> Any:
        return self.__dict__.get("_era_ends", {}).get(name) or original.fget(self)

    def put(self: Any, value: Any) -> None:
        self.__dict__.setdefault("_era_ends", {})[name] = value

    return property(get, put, doc=original.__doc__)


def _goes_on_from(first: Any) -> bool:
    functional = isinstance(first, Model) and not isinstance(first, Sequential) and first.graph is not None
    return functional and len(first.inputs) == len(first.outputs) == 1


def _rebuild(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """A Sequential of Keras 1 may begin with a Merge of models, or go on from one: it has their inputs."""

    @functools.wraps(original)
    def rebuild(self: Any) -> None:
        first: Any = self._stack[0] if self._stack else None
        if getattr(first, "branches", None):
            inputs, x = first.merged_inputs, first.merged
        elif eras.current() == "keras1" and _goes_on_from(first):
            inputs, x = first.inputs[0], first.outputs[0]
            object.__setattr__(self, "_input", inputs)
        else:
            original(self)
            return
        for layer in self._stack[1:]:
            x = layer(x)
        self._set_graph(Graph(inputs, x, who=f"Sequential {self.name!r}"))
        self._forget_compiled_functions()

    return rebuild


def _metrics_names(original: property) -> property:
    def names(self: Any) -> list[str]:
        if eras.current() in eras.OLD and self.compiled and not self.objective.built:
            outputs = getattr(self, "output_names", ()) if self.graph is not None else ()
            kinds = [f"{name}_loss" for name in outputs] if len(outputs) > 1 else []
            given = self.objective.given["metrics"] or []
            listed = [item for item in given if isinstance(item, str)] if isinstance(given, (list, tuple)) else []
            return ["loss", *kinds, *listed]
        names: list[str] = original.fget(self)  # type: ignore[misc]
        return names

    return property(names, doc=original.__doc__)


def _unchecked(original: Callable[..., Any]) -> Callable[..., Any]:
    """Within another model, a model of Keras 1 and 2 let its layers judge how many axes its inputs have."""

    @functools.wraps(original)
    def fitted(self: Any, value: Any, spec: Any) -> Any:
        is_inside = tracing() or (calls.root is not None and calls.root is not self)
        if is_inside and eras.current() in eras.STANDALONE and value.ndim != len(spec.shape):
            return value
        return original(self, value, spec)

    return fitted


def _check_inputs(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def check(self: Any, args: Any) -> None:
        if eras.current() not in eras.STANDALONE or self.graph is None:
            original(self, args)

    return check


def _get_config(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The config of a Sequential of Keras 1 was the list of its layers'."""

    @functools.wraps(original)
    def get_config(self: Any) -> Any:
        found = original(self)
        return found["layers"] if from_outside() and eras.current() == "keras1" else found

    return get_config


def _from_config(original: Any) -> Any:
    def from_config(cls: Any, config: Any, custom_objects: Any = None) -> Any:
        config = {"layers": config} if isinstance(config, list) else config
        return original.__func__(cls, config, custom_objects)

    return classmethod(from_config)


def install() -> None:
    """Lend them."""
    graft_all(Model, ModelMethods)
    graft(Sequential, "get_config", _get_config(Sequential.get_config))
    graft(Sequential, "from_config", _from_config(vars(Sequential)["from_config"]))
    tables = arguments.rows(arguments.METHODS)
    also = {"fit": _fit, "predict": None, "train_on_batch": _train_on_batch}
    for method in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch"):
        wrap(Model, method, method, tables[method], also.get(method, accuracy.shown))
    for name in ("compiled_loss", "compiled_metrics"):
        graft(Model, name, Lent(_CompiledLoss))
    graft(Compiled, "compile", _collecting(Compiled.compile))
    wrap(Model, "compile", "compile", tables["compile"], compile_arguments)
    wrap(Model, "__init__", "Model", {}, _init)
    graft(Model, "__new__", _new(Model.__new__))
    graft(Compiled, "_learned_variables", _learned_variables(Compiled._learned_variables))
    graft(Model, "_learn", _learning(Model._learn))
    graft(Model, "_fitted", _unchecked(Model._fitted))
    graft(Model, "_check_inputs", _check_inputs(Model._check_inputs))
    graft(plans, "require", _require(plans.require))
    graft(Model, "layers", property(_layers, doc=Model.layers.__doc__))
    graft(Sequential, "_rebuild", _rebuild(Sequential._rebuild))
    graft(Model, "outputs", _ends("outputs"))
    graft(Model, "output", _ends("output"))
    graft(Compiled, "metrics_names", _metrics_names(Compiled.metrics_names))  # type: ignore[arg-type]


__all__ = ["compile_arguments", "install"]
