"""What older Keras wrote in files, in today's words: other names of classes and arguments, losses that are wrappers.

Keras 1 called arguments ``nb_filter``, ``border_mode``, ``W_regularizer``; Keras 2 and tf.keras wrote arguments that
Keras 3 has no more. ``to_legacy`` goes the other way, to the configs of ``.h5`` files.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from convia import registry
from convia.args import parameters
from convia.errors import explain
from convia.saving.configs import Config, dictionaries, from_keras, revived_compile_config

_MODELS = ("Functional", "Sequential")
_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {  # old name → today's, and arguments
    "Model": ("Functional", {}),
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "SyncBatchNormalization": ("BatchNormalization", {"synchronized": True}),
    "CuDNNGRU": ("GRU", {"reset_after": True}),
    "CuDNNLSTM": ("LSTM", {"recurrent_activation": "sigmoid"}),
    "AtrousConvolution1D": ("Conv1D", {}),
    "AtrousConvolution2D": ("Conv2D", {}),
    "LossScaleOptimizerV1": ("LossScaleOptimizer", {}),
    "LossScaleOptimizerV3": ("LossScaleOptimizer", {}),
    "Deconvolution2D": ("Conv2DTranspose", {}),
    "Deconvolution3D": ("Conv3DTranspose", {}),
    "ThresholdedReLU": ("ReLU", {"theta": 1.0}),
    **{f"Convolution{n}D": (f"Conv{n}D", {}) for n in (1, 2, 3)},
    **{f"SeparableConvolution{n}D": (f"SeparableConv{n}D", {}) for n in (1, 2)},
}
_MERGES: dict[str, tuple[str, dict[str, str]]] = {  # mode of Keras 1's Merge → class, old → new argument
    "sum": ("Add", {}),
    "mul": ("Multiply", {}),
    "ave": ("Average", {}),
    "max": ("Maximum", {}),
    "concat": ("Concatenate", {"concat_axis": "axis"}),
    "dot": ("Dot", {"dot_axes": "axes"}),
    "cos": ("Dot", {"dot_axes": "axes"}),
}
_ARGUMENTS: dict[str, str] = {  # old argument → today's, the first that the class has; ignored where it has the old one
    "W_constraint": "kernel_constraint embeddings_constraint",
    "W_regularizer": "kernel_regularizer embeddings_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "alpha": "negative_slope",
    "atrous_rate": "dilation_rate",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "gamma_init": "gamma_initializer",
    "init": "kernel_initializer embeddings_initializer alpha_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "input_dtype": "dtype",
    "kernel_constraint": "depthwise_constraint",
    "kernel_initializer": "depthwise_initializer",
    "kernel_regularizer": "depthwise_regularizer",
    "l": "l1 l2",
    "length": "size",
    "lr": "learning_rate",
    "m": "max_value",
    "nb_filter": "filters",
    "optimizer": "inner_optimizer",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
    "theta": "threshold",
}
_JOINED = ("nb_row nb_col", "kernel_dim1 kernel_dim2 kernel_dim3")  # several that became kernel_size
_VALUES: dict[str, dict[Any, Any]] = {
    "data_format": {"th": "channels_first", "tf": "channels_last", "default": None},
    "initializer": {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"},
}
_PLAIN = {
    "WeightRegularizer": "L1L2",
    "ActivityRegularizer": "L1L2",
    "L1L2Regularizer": "L1L2",
    "EigenvalueRegularizer": "",
}
_SHAPES = ("batch_input_shape", "input_shape", "input_dim", "batch_size", "batch_shape")


@registry.register_keras_serializable("convia")
def hard_sigmoid_of_keras_2(x: Any) -> torch.Tensor:
    """0.2·x + 0.5, within 0 and 1: what ``hard_sigmoid`` was before Keras 3."""
    y: torch.Tensor = (0.2 * x + 0.5).clip(0.0, 1.0)
    return y


def major(version: str | None) -> int:
    """Return the first number of a version; files of Keras 1 may have none."""
    first = (version or "1").split(".")[0]
    return int(first) if first.isdigit() else 2


# -- to the configs of .h5 files --------------------------------------------------------------------------------------


def to_legacy(config: Any) -> Any:
    """Reduce the entries of layers to class and arguments, as in the attribute ``model_config`` of an ``.h5`` file.

    Where Keras 2 and 3 differ, Keras 2's form is written: both read it. Functions within graphs have no form in common,
    and graphs with them keep Keras 3's.
    """
    if not isinstance(config, Mapping) or str(config.get("module")).startswith("keras.src.ops"):
        return config  # functions keep their module: some have the names of layers
    inner = config["config"]
    if isinstance(inner, Mapping) and (
        config["class_name"] in _MODELS or {"input_layers", "build_input_shape"} & inner.keys()
    ):
        inner = {**inner, "layers": [to_legacy(layer) for layer in inner["layers"]]}
        if config["class_name"] == "Functional" and all(_has_old_form(layer) for layer in inner["layers"]):
            inner = _with_old_nodes(inner)
    else:
        inner = _old_arguments(config["class_name"], inner)
    name = config.get("registered_name") or config["class_name"]
    kept = {key: config[key] for key in ("name", "inbound_nodes") if key in config}
    return {"class_name": name, "config": inner, **kept}


def _old_arguments(name: str, inner: Any) -> Any:
    """Arguments as Keras 2 knows them, where Keras 3 knows them too."""
    if not isinstance(inner, Mapping):
        return inner
    inner = {key: _old_object(value) for key, value in inner.items() if key not in _NEW or value not in (None, False)}
    if "ema_momentum" in inner and not inner.get("use_ema"):
        inner.pop("ema_momentum")
    if name.startswith("Random") and inner.get("data_format") == "channels_last":
        del inner["data_format"]
    dtype = inner.get("dtype")
    if isinstance(dtype, Mapping) and dtype.get("class_name") == "DTypePolicy":
        inner["dtype"] = dtype["config"]["name"]
    if name == "InputLayer" and "batch_shape" in inner:
        inner["batch_input_shape"] = inner.pop("batch_shape")
        inner.pop("optional", None)
    return inner


def _old_object(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        return {**value, "config": _old_arguments(value["class_name"], value["config"])}
    return value


_NEW = (  # left out where they are None or false; Keras 2, or its optimizers before 2.11, do not know them
    "clipnorm",
    "clipvalue",
    "ema_overwrite_frequency",
    "global_clipnorm",
    "gradient_accumulation_steps",
    "input_axes",
    "loss_scale_factor",
    "output_axes",
    "quantization_config",
    "rms_scaling",
    "use_ema",
    "weight_decay",
)


def _has_old_form(layer: Config) -> bool:
    return "module" not in layer and all(map(_old_inputs, layer["inbound_nodes"]))


def _old_inputs(node: Config) -> list[Any] | None:
    """The tensors that a call takes, None if it takes anything else."""
    kwargs = {key: value for key, value in node["kwargs"].items() if value is not None}
    if len(node["args"]) != 1 or not all(isinstance(value, (bool, int, float)) for value in kwargs.values()):
        return None
    given = node["args"][0] if isinstance(node["args"][0], list) else [node["args"][0]]
    if not given or not all(
        isinstance(item, Mapping) and item.get("class_name") == "__keras_tensor__" for item in given
    ):
        return None
    return [[*item["config"]["keras_history"], kwargs] for item in given]


def _with_old_nodes(inner: Config) -> Config:
    """Calls as lists of the tensors they take.

    Keras 2 counts the calls of a model within a graph from 1, Keras 3 from 0 (but from 1 among the outputs, if it is
    functional). So each is written twice: number 2k + 1 is call k for both.
    """
    models = {layer["name"]: layer["class_name"] for layer in inner["layers"] if "layers" in layer["config"]}

    def place(name: str, index: int, *rest: Any) -> list[Any]:
        return [name, 2 * index + 1 if name in models else index, *rest]

    def outer_place(name: str, index: int, position: int) -> list[Any]:
        return place(name, index - int(models.get(name) == "Functional"), position)

    def calls(layer: Config) -> list[Any]:
        nodes = [[place(*entry) for entry in _old_inputs(node) or ()] for node in layer["inbound_nodes"]]
        return [node for node in nodes for _ in range(1 + (layer["name"] in models))]

    layers = [{**layer, "inbound_nodes": calls(layer)} for layer in inner["layers"]]
    return {**inner, "layers": layers, "output_layers": _places(inner["output_layers"], outer_place)}


def _places(structure: Any, function: Callable[..., Any]) -> Any:
    """Apply a function to each ``[name, call, position]`` of a structure."""
    if isinstance(structure, Mapping):
        return {key: _places(item, function) for key, item in structure.items()}
    if len(structure) == 3 and isinstance(structure[0], str):
        return function(*structure)
    return [_places(item, function) for item in structure]


# -- from them --------------------------------------------------------------------------------------------------------


def from_legacy(config: Any, era: int = 3) -> Any:
    """Translate what Keras of an era (1, 2 or 3) wrote: drop arguments that no longer mean anything.

    Raises:
        ValueError: code instead of a function; a layer of Keras 1 that has no successor.
    """
    return _translated(from_keras(config), era)


def former_classes(config: Any) -> dict[str, str]:
    """Return name → class, as the file has it, of the layers whose class has another name today."""
    entries = [entry for entry in dictionaries(config) if isinstance(entry.get("config"), Mapping)]
    plain = [(entry["config"].get("name"), str(entry.get("class_name")).rpartition(">")[2]) for entry in entries]
    return {name: kind for name, kind in plain if kind in _CLASSES and isinstance(name, str)}


def _translated(config: Any, era: int, space: str | None = None) -> Any:
    if (
        not isinstance(config, dict)
        or "class_name" not in config
        or str(config.get("module")).startswith("keras.src.ops")
    ):
        return config
    name = str(config["class_name"])
    inner = config.get("config")
    if isinstance(inner, list):  # Keras 1's Sequential
        inner = {"layers": inner}
    if not isinstance(inner, dict) or (name.endswith("OpLambda") and "function" in inner):
        return config
    is_layer = era == 1 or name == "InputLayer" or {"trainable", "layers"} & inner.keys()
    if "inbound_nodes" in config and not is_layer:
        return config  # a function
    own = registry.get_registered_object(config.get("registered_name") or name) is not None
    plain = name.rpartition(">")[2] if not own else name
    if not own and plain == "Merge" and "mode" in inner:
        return {**config, **_merge(inner, era)}
    plain, extra = (plain, {}) if own else _CLASSES.get(plain, (plain, {}))
    if isinstance(inner.get("layers"), list):
        if _begins_with_merge(inner["layers"]):
            return _translated(_as_graph(inner), era)
        inner = {**inner, "layers": [_translated(layer, era) for layer in inner["layers"]]}
    elif not own:
        inner = _known_arguments(plain, {**extra, **inner}, era, space)
    home = "keras" if plain in _MODELS else "keras.layers" if era == 1 and "inbound_nodes" in config else None
    module = {"module": home} if home and not own else {}
    return {**config, **module, "class_name": plain, "config": inner}


_SPACES = ("keras.layers", "keras.optimizers", "keras.regularizers", "keras.constraints", "keras.initializers")


def _known_arguments(name: str, inner: Config, era: int, space: str | None = None) -> Config:
    spaces = _SPACES if space is None else (space,)
    item = next((found for space in spaces if (found := registry.registered(space).get(name))), None)
    if item is None:
        return inner
    inner = _of_the_era(name, inner, era)
    known = {*parameters(item), *_SHAPES}
    kept: Config = {}
    for key, value in inner.items():
        new = key if key in known else next((n for n in _ARGUMENTS.get(key, "").split() if n in known), None)
        if new is not None and (new == key or new not in inner):
            kept[new] = _value(new, value, era)
    if isinstance(kept.get("axis"), list) and len(kept["axis"]) == 1:
        kept["axis"] = kept["axis"][0]
    return kept


def _of_the_era(name: str, inner: Config, era: int) -> Config:
    """What is not a matter of names."""
    for keys in _JOINED:
        if all(key in inner for key in keys.split()):
            inner = {**inner, "kernel_size": [inner[key] for key in keys.split()]}
    rate = inner.get("lr", inner.get("learning_rate"))
    if inner.get("decay") and isinstance(rate, (int, float)):
        falling = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": inner["decay"]}
        schedule = {"module": "keras.optimizers.schedules", "class_name": "InverseTimeDecay", "config": falling}
        inner = {**inner, "learning_rate": schedule}
    if name == "BatchNormalization" and inner.get("mode"):
        who, what = f"load_model, BatchNormalization {inner.get('name')!r}", f"mode={inner['mode']} of Keras 1"
        raise ValueError(explain(who, what, "mode=0", "Later versions of Keras have no such layer: write a Layer."))
    return inner


def _value(key: str, value: Any, era: int) -> Any:
    if key.endswith("activation") and value == "hard_sigmoid" and era < 3:
        return registry.serialize(hard_sigmoid_of_keras_2)
    if isinstance(value, (str, type(None))):
        return _VALUES.get(key.rpartition("_")[2] if key != "data_format" else key, {}).get(value, value)
    if isinstance(value, dict) and "name" in value and "class_name" not in value and "config" not in value:
        arguments = {name: item for name, item in value.items() if name != "name"}  # of Keras 1
        value = {"class_name": _PLAIN.get(value["name"], value["name"]), "config": arguments}
    return _translated(value, era, "keras.initializers" if key.endswith("initializer") else None)


def _merge(inner: Config, era: int) -> Config:
    """Return class and arguments for Keras 1's Merge."""
    mode = inner["mode"]
    if mode not in _MERGES:
        who = f"load_model, Merge {inner.get('name')!r}"
        remedy = "Code in a file is never run. Build the model anew and load its weights."
        raise ValueError(explain(who, f"mode={mode!r}", f"one of {[*_MERGES]}", remedy))
    name, renamed = _MERGES[mode]
    config = {new: inner[old] for old, new in renamed.items() if old in inner}
    if isinstance(config.get("axes"), list) and config["axes"] and isinstance(config["axes"][0], list):
        config["axes"] = [axes[0] for axes in config["axes"]]
    if mode == "cos":
        config["normalize"] = True
    return {"module": "keras.layers", "class_name": name, "config": config | {"name": inner.get("name")}}


def _begins_with_merge(layers: list[Any]) -> bool:
    first = layers[0] if layers and isinstance(layers[0], dict) else {}
    return first.get("class_name") == "Merge" and isinstance(first.get("config", {}).get("layers"), list)


def _as_graph(inner: Config) -> Config:
    """Return the graph for a Sequential of Keras 1 that begins by merging other ones."""
    merge, *rest = inner["layers"]
    entries: list[Config] = []
    inputs: list[Any] = []
    outputs: list[Any] = []
    for number, branch in enumerate(merge["config"]["layers"]):
        name, first = f"branch_{number + 1}", f"branch_{number + 1}_input"
        shape = _first_shape(branch)
        source = {"batch_input_shape": shape, "name": first, "dtype": "float32"}
        entries.append({"class_name": "InputLayer", "config": source, "name": first, "inbound_nodes": []})
        layers = branch["config"] if isinstance(branch["config"], list) else branch["config"]["layers"]
        config = {"name": name, "layers": layers}
        node = [[[first, 0, 0]]]
        entries.append({"class_name": "Sequential", "config": config, "name": name, "inbound_nodes": node})
        inputs.append([first, 0, 0])
        outputs.append([name, 1, 0])
    for number, layer in enumerate([merge, *rest]):
        name = layer["config"].get("name") or f"layer_{number}"
        config = {key: value for key, value in layer["config"].items() if key != "layers"}
        entries.append({**layer, "config": config | {"name": name}, "name": name, "inbound_nodes": [outputs]})
        outputs = [[name, 0, 0]]
    graph = {"name": inner.get("name"), "layers": entries, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Model", "config": graph}


def _first_shape(branch: Any) -> Any:
    """The shape that the first layer of a branch says it takes."""
    while isinstance(branch.get("config"), list) or "layers" in branch["config"]:
        branch = (branch["config"] if isinstance(branch["config"], list) else branch["config"]["layers"])[0]
    return branch["config"].get("batch_input_shape")


# -- how models are trained -------------------------------------------------------------------------------------------


def legacy_compile_arguments(training: Config, era: int = 3) -> Config:
    """Return the arguments of ``compile`` from the attribute ``training_config`` of an ``.h5`` file."""
    config = {key: _legacy_object(value) for key, value in training.items() if key in _COMPILE}
    if training.get("optimizer_config"):
        config["optimizer"] = from_legacy(training["optimizer_config"], era)
    return revived_compile_config(config)


_COMPILE = ("loss", "metrics", "weighted_metrics", "loss_weights")


def todays_compile_config(config: Config, era: int) -> Config:
    """Return the ``compile_config`` of a ``.keras`` file of an era in today's words."""
    if era >= 3 or not config:
        return config
    plain = {key: _legacy_object(value) if key in _COMPILE else value for key, value in config.items()}
    plain = {key: value for key, value in plain.items() if value is not None}
    return {**plain, "optimizer": from_legacy(config.get("optimizer"), era)}


def _legacy_object(value: Any) -> Any:
    """Losses and metrics: Keras 2 wraps functions, and lists one list of metrics per output."""
    if isinstance(value, list):
        return [_legacy_object(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {key: _legacy_object(item) for key, item in value.items()}
    inner = value.get("config")
    if isinstance(inner, dict) and "fn" in inner and isinstance(inner["fn"], str):
        return inner.get("name") if inner.get("name") in ("accuracy", "acc", "crossentropy", "ce") else inner["fn"]
    if isinstance(inner, dict):
        inner = {key: "sum_over_batch_size" if item == "auto" else item for key, item in inner.items()}
    return {**value, "config": inner}


__all__ = [
    "former_classes",
    "from_legacy",
    "hard_sigmoid_of_keras_2",
    "legacy_compile_arguments",
    "major",
    "to_legacy",
    "todays_compile_config",
]
