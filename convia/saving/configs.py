"""Configs on their way into and out of files: names as Keras writes them, and no code.

``from_keras`` also reads what Keras 1 and 2 wrote: other names of classes and arguments, losses that are wrappers.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from convia import registry
from convia.args import parameters
from convia.errors import explain

Config = dict[str, Any]

_PRIVATE = {"Functional": "keras.src.models.functional"}  # classes without a public name in Keras
_HOMES = {  # beginning of a module → the public one
    "keras.src.models": "keras",
    "keras.engine": "keras",
    "keras.src.engine": "keras",
    "keras.src.layers": "keras.layers",
    "keras.src.optimizers": "keras.optimizers",
    "keras.src.backend.torch.optimizers": "keras.optimizers",
    "keras.src.losses": "keras.losses",
    "keras.src.metrics": "keras.metrics",
    "keras.src.initializers": "keras.initializers",
}
_CODE = ("__lambda__", "lambda")


def serialize_keras_object(obj: Any) -> Any:
    """Return the config of an object in Keras's format: module, class, arguments; how it was built and compiled."""
    config = to_keras(registry.serialize(obj))
    compiled = getattr(obj, "get_compile_config", None)
    if compiled is not None and isinstance(config, dict):
        config["compile_config"] = to_keras(compiled()) if getattr(obj, "compiled", False) else {}
    return config


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """Make an object, built and compiled as it was, from its config.

    Args:
        config: what ``serialize_keras_object`` of convia or of Keras returned.
        custom_objects: your own classes and functions by name.
        safe_mode: accepted; code in configs is never run.

    Raises:
        ValueError: an unknown class or function, or Python code instead of a function's name.
    """
    with registry.custom_object_scope(custom_objects or {}):
        if isinstance(config, str) and registry.get_registered_object(config) is not None:
            return registry.get_registered_object(config)
        config = from_keras(config)
        item = registry.deserialize(config)
        if isinstance(config, dict) and "class_name" in config:
            _build(item, config.get("build_config"))
            _compile(item, config.get("compile_config"))
        return item


def _build(item: Any, config: Any) -> None:
    if config and not getattr(item, "built", True):
        item.build_from_config(config)


def _compile(item: Any, config: Any) -> None:
    """Compile a model; a method of the user's own gets the config as it is."""
    if not config or not hasattr(item, "compile_from_config"):
        return
    ours = type(item).compile_from_config.__module__.startswith("convia.")
    item.compile_from_config(revived_compile_config(config) if ours else config)
    if getattr(item, "built", False) and getattr(item, "optimizer", None) is not None and not item.optimizer.built:
        item.optimizer.build(item.trainable_variables)


def revived_compile_config(config: Mapping[str, Any]) -> Config:
    """Return the arguments of ``compile`` with objects in place of their configs; names stay names."""
    spaces = {"optimizer": "keras.optimizers", "loss": "keras.losses"}
    return {key: _revive(value, spaces.get(key, "keras.metrics")) for key, value in config.items()}


def _revive(value: Any, namespace: str) -> Any:
    if isinstance(value, str):
        return registry.get_registered_object(value) or value
    if isinstance(value, Mapping) and "class_name" in value:
        return registry.deserialize(value, None, namespace)
    if isinstance(value, Mapping):
        return {key: _revive(item, namespace) for key, item in value.items()}
    return [_revive(item, namespace) for item in value] if isinstance(value, (list, tuple)) else value


# -- objects that occur several times ---------------------------------------------------------------------------------


def _dictionaries(config: Any) -> Iterator[Config]:
    """Yield the dictionaries in a config, outer ones before inner ones."""
    if isinstance(config, dict):
        yield config
    for item in config.values() if isinstance(config, dict) else config if isinstance(config, (list, tuple)) else ():
        yield from _dictionaries(item)


def only_shared_ids(config: Any) -> Any:
    """Drop the ids of objects that occur once."""
    entries = [entry for entry in _dictionaries(config) if "shared_object_id" in entry]
    counts = Counter(entry["shared_object_id"] for entry in entries)
    for entry in entries:
        if counts[entry["shared_object_id"]] == 1:
            del entry["shared_object_id"]
    return config


def with_lost_ids(config: Any) -> Any:
    """Find the first occurrence of shared layers: Keras forgets to mark it when it is in another model."""
    entries = [entry for entry in _dictionaries(config) if isinstance(entry.get("config"), dict)]
    counts = Counter(entry.get("shared_object_id") for entry in entries)
    for place, entry in enumerate(entries):
        key = entry.get("shared_object_id")
        if key is None or counts[key] > 1 or "name" not in entry["config"]:
            continue
        for earlier in entries[:place]:
            if "shared_object_id" not in earlier and _without_ids(earlier) == _without_ids(entry):
                earlier["shared_object_id"] = key
                break
    return config


def _without_ids(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_ids(value) for key, value in config.items() if key != "shared_object_id"}
    return [_without_ids(item) for item in config] if isinstance(config, list) else config


# -- as Keras 3 writes them -------------------------------------------------------------------------------------------


def to_keras(config: Any) -> Any:
    """Give classes without a public name in Keras the module where Keras looks for them."""
    if isinstance(config, Mapping):
        plain = {key: to_keras(value) for key, value in config.items()}
        name = plain.get("class_name")
        if name in _PRIVATE and plain.get("module") == "keras":
            plain.update(module=_PRIVATE[name], registered_name=name)
        return plain
    return [to_keras(item) for item in config] if isinstance(config, (list, tuple)) else config


def from_keras(config: Any) -> Any:
    """Translate modules to public ones, and refuse code.

    Raises:
        ValueError: Python code instead of the name of a function; says which layer, and how to supply it.
    """
    if isinstance(config, (list, tuple)):
        return [from_keras(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    config = _without_code(config)
    plain = {key: from_keras(value) for key, value in config.items()}
    module = plain.get("module")
    if isinstance(module, str) and "class_name" in plain and not module.startswith("keras.src.ops"):
        plain["module"] = next((home for start, home in _HOMES.items() if module.startswith(start)), module)
    return plain


def _without_code(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the user's function, given under the layer's name, in place of code."""
    if config.get("class_name") in _CODE:
        raise ValueError(_code_refused("config", "a function", "a named function"))
    inner = config.get("config")
    if config.get("class_name") != "Lambda" or not isinstance(inner, Mapping):
        return config
    name, clean = inner.get("name", "lambda"), dict(inner)
    for key in ("function", "output_shape", "mask"):
        if _is_code(inner.get(key), key):
            given = registry.get_registered_object(name) if key == "function" else None
            if given is None and key == "function":
                raise ValueError(_code_refused(f"Lambda layer {name!r}", key, name))
            clean[key] = _named(name) if given is not None else None
    for key in ("module", "function_type", "output_shape_type", "output_shape_module"):  # of Keras 1 and 2
        clean.pop(key, None)
    return {**config, "config": clean}


def _is_code(value: Any, key: str) -> bool:
    if isinstance(value, Mapping):
        return value.get("class_name") in _CODE or value.get("config") == "<lambda>"
    is_dump = isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], str)
    return is_dump or (key == "function" and value == "<lambda>")


def _named(name: str) -> Config:
    return {"module": None, "class_name": "function", "config": name, "registered_name": name}


def _code_refused(who: str, what: str, name: str) -> str:
    return explain(
        f"load_model, {who}",
        f"Python code as its {what}",
        "the name of a function",
        "Code in a file could do anything and is never run. Write the function anew and pass it under the layer's "
        f"name: load_model(path, custom_objects={{{name!r}: function}}).",
    )


# -- as Keras 1 and 2 wrote them --------------------------------------------------------------------------------------


def to_legacy(config: Any) -> Any:
    """Reduce the entries of layers to class and arguments, as in the attribute ``model_config`` of an ``.h5`` file."""
    if not isinstance(config, Mapping) or str(config.get("module")).startswith("keras.src.ops"):
        return config  # functions keep their module: some have the names of layers
    inner = config["config"]
    if isinstance(inner, Mapping) and (
        config["class_name"] in _MODELS or {"input_layers", "build_input_shape"} & inner.keys()
    ):
        inner = {**inner, "layers": [to_legacy(layer) for layer in inner["layers"]]}
    name = config.get("registered_name") or config["class_name"]
    kept = {key: config[key] for key in ("name", "inbound_nodes") if key in config}
    return {"class_name": name, "config": inner, **kept}


_RENAMED = {"lr": "learning_rate", "output_dim": "units", "nb_filter": "filters"}
_MODELS = ("Functional", "Sequential")
_CLASSES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}


def from_legacy(config: Any) -> Any:
    """Translate what Keras 1, 2 and 3 write in ``.h5`` files: drop arguments that no longer mean anything."""
    config = from_keras(config)
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
    if not isinstance(inner, dict):
        return config
    if "inbound_nodes" in config and "trainable" not in inner and name != "InputLayer" and "layers" not in inner:
        return config  # a function, not a layer
    own = registry.get_registered_object(config.get("registered_name") or name) is not None
    plain = name.rpartition(">")[2] if not own else name
    plain = plain if own else _CLASSES.get(plain, plain)
    if isinstance(inner.get("layers"), list):
        inner = {**inner, "layers": [from_legacy(layer) for layer in inner["layers"]]}
    elif not own:
        inner = _known_arguments(plain, inner)
    module = {"module": "keras"} if plain in _MODELS and not own else {}
    return {**config, **module, "class_name": plain, "config": inner}


def _known_arguments(name: str, inner: Config) -> Config:
    item = next(
        (found for space in ("keras.layers", "keras.optimizers") if (found := registry.registered(space).get(name))),
        None,
    )
    if item is None:
        return inner
    known = {*parameters(item), "batch_input_shape", "input_shape", "input_dim", "batch_size", "batch_shape"}
    renamed = {_RENAMED[key] if key in _RENAMED and key not in known else key: value for key, value in inner.items()}
    kept = {key: value for key, value in renamed.items() if key in known}
    if isinstance(kept.get("axis"), list) and len(kept["axis"]) == 1:
        kept["axis"] = kept["axis"][0]
    return {key: from_legacy(value) for key, value in kept.items()}


def legacy_compile_arguments(training: Config) -> Config:
    """Return the arguments of ``compile`` from the attribute ``training_config`` of an ``.h5`` file."""
    config = {key: _legacy_object(value) for key, value in training.items() if key in _COMPILE}
    if training.get("optimizer_config"):
        config["optimizer"] = from_legacy(training["optimizer_config"])
    return revived_compile_config(config)


_COMPILE = ("loss", "metrics", "weighted_metrics", "loss_weights")


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


def parsed(who: str, text: str | bytes) -> Config:
    """Return the config that a JSON text holds.

    Raises:
        ValueError: not JSON, or not the config of an object.
    """
    with contextlib.suppress(ValueError, RecursionError):
        config = json.loads(text)
        if isinstance(config, dict) and "class_name" in config:
            return config
    raise ValueError(explain(who, f"the text {str(text)[:40]!r}…", "JSON with the class and the config of a model"))


__all__ = [
    "deserialize_keras_object",
    "from_keras",
    "from_legacy",
    "legacy_compile_arguments",
    "only_shared_ids",
    "parsed",
    "revived_compile_config",
    "serialize_keras_object",
    "to_keras",
    "to_legacy",
    "with_lost_ids",
]
