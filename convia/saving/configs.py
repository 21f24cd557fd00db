"""Configs on their way into and out of files: names as Keras writes them, and no code."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from convia import registry
from convia.errors import explain

Config = dict[str, Any]

_PRIVATE = {"Functional": "keras.src.models.functional"}  # classes without a public name in Keras
_HOMES = {  # beginning of a module → the public one
    "keras.src.models": "keras",
    "keras.engine": "keras",
    "keras.src.engine": "keras",
    "keras.src.layers": "keras.layers",
    "keras.src.optimizers": "keras.optimizers",
    "keras.optimizers.experimental": "keras.optimizers",
    "keras.optimizers.legacy": "keras.optimizers",
    "keras.src.backend.torch.optimizers": "keras.optimizers",
    "keras.src.losses": "keras.losses",
    "keras.src.metrics": "keras.metrics",
    "keras.src.initializers": "keras.initializers",
    "keras.layers.experimental": "keras.layers",
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


def dictionaries(config: Any) -> Iterator[Config]:
    """Yield the dictionaries in a config, outer ones before inner ones."""
    if isinstance(config, dict):
        yield config
    for item in config.values() if isinstance(config, dict) else config if isinstance(config, (list, tuple)) else ():
        yield from dictionaries(item)


def only_shared_ids(config: Any) -> Any:
    """Drop the ids of objects that occur once."""
    entries = [entry for entry in dictionaries(config) if "shared_object_id" in entry]
    counts = Counter(entry["shared_object_id"] for entry in entries)
    for entry in entries:
        if counts[entry["shared_object_id"]] == 1:
            del entry["shared_object_id"]
    return config


def with_lost_ids(config: Any) -> Any:
    """Find the first occurrence of shared layers: Keras forgets to mark it when it is in another model."""
    entries = [entry for entry in dictionaries(config) if isinstance(entry.get("config"), dict)]
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
        "Code in a file could do anything and is never run, with safe_mode=False neither. Write the function anew and "
        f"pass it under the layer's name: load_model(path, custom_objects={{{name!r}: function}}).",
    )


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


def parsed_yaml(who: str, text: str | bytes) -> Config:
    """Return the config that a YAML text holds; of Python's own types it may have tuples and texts only.

    Raises:
        ImportError: PyYAML is not installed.
        ValueError: not YAML, other Python objects, or not the config of an object.
    """
    try:
        import yaml
    except ImportError as error:
        remedy = "Install it: pip install pyyaml."
        raise ImportError(explain(who, "a YAML text, without PyYAML", "PyYAML to be installed", remedy)) from error

    class Loader(yaml.SafeLoader):
        """Nothing but plain values."""

    prefix = "tag:yaml.org,2002:python/"
    Loader.add_constructor(f"{prefix}tuple", lambda loader, node: loader.construct_sequence(node, deep=True))
    for name in ("str", "unicode"):
        Loader.add_constructor(f"{prefix}{name}", lambda loader, node: loader.construct_scalar(node))
    expected = "YAML with the class and the config of a model, and no Python objects"
    try:
        config = yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(explain(who, f"the text {str(text)[:40]!r}… ({error})", expected)) from error
    if isinstance(config, dict) and "class_name" in config:
        return config
    raise ValueError(explain(who, f"the text {str(text)[:40]!r}…", expected))


__all__ = [
    "deserialize_keras_object",
    "dictionaries",
    "from_keras",
    "only_shared_ids",
    "parsed",
    "parsed_yaml",
    "revived_compile_config",
    "serialize_keras_object",
    "to_keras",
    "with_lost_ids",
]
