"""Names and classes: who is called what, and how an object becomes a config and a config an object.

A config in Keras's format is ``{"module", "class_name", "config", "registered_name"}``. Classes come only from
this registry, from ``custom_objects`` or from ``register_keras_serializable``: a file can never name code.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from convia.errors import explain, nearest

T = TypeVar("T")

_BUILTIN: dict[str, dict[str, Any]] = {}  # namespace ("keras.layers") → name → class or function
_HOME: dict[Any, tuple[str, str]] = {}  # class or function → (namespace, its first name)
_CUSTOM: dict[str, Any] = {}  # "package>name" → class or function, registered by the user
_CUSTOM_NAME: dict[Any, str] = {}
_scopes = threading.local()


def register(namespace: str, item: T, *names: str) -> T:
    """File a class or function of the library under its own name and further names in ``namespace``.

    What a module has whose ``PACKAGE`` is set, "Addons", is filed as a user's would be: as ``Addons>name``.
    """
    package = getattr(sys.modules.get(item.__module__), "PACKAGE", None)
    if package:
        return register_keras_serializable(package)(item)
    own = item.__name__  # type: ignore[attr-defined]
    _HOME.setdefault(item, (namespace, own))
    for name in (own, *names):
        _BUILTIN.setdefault(namespace, {})[name] = item
    return item


def registered(namespace: str) -> dict[str, Any]:
    """Return name → class or function of one namespace, such as ``"keras.layers"``."""
    return dict(_BUILTIN.get(namespace, {}))


def home(item: Any) -> tuple[str, str] | None:
    """Return (namespace, name) of a class or function of the library, None of anybody else's."""
    return _HOME.get(item) if item.__hash__ else None


def _fold(name: str) -> str:
    return name.replace("_", "").lower()


def lookup(namespace: str, name: str) -> Any | None:
    """Find a class or function: the user's own first, then exactly by name, then ignoring case and underscores."""
    custom = get_registered_object(name)
    if custom is not None:
        return custom
    known = _BUILTIN.get(namespace, {})
    if name in known:
        return known[name]
    folded = _fold(name)
    return next((item for key, item in known.items() if _fold(key) == folded), None)


def find(namespace: str, identifier: Any, who: str) -> Any:
    """Resolve what a user gives for an object of a namespace: None, a name, a config, a class or the thing itself.

    Classes are instantiated with their defaults; functions and instances are returned as they are.

    Raises:
        ValueError: an unknown name. TypeError: neither a name, a config nor something callable.
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return deserialize(dict(identifier), namespace=namespace)
    if isinstance(identifier, str):
        item = lookup(namespace, identifier)
        if item is None:
            raise ValueError(
                explain(who, repr(identifier), "a known name", nearest(identifier, _BUILTIN.get(namespace, {})))
            )
        return item() if inspect.isclass(item) else item
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier
    raise TypeError(explain(who, repr(identifier), "a name, a config dict, a function or an instance"))


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorate a class or function of your own so that configs may name it as ``package>name``."""

    def decorate(item: T) -> T:
        key = f"{package}>{name or item.__name__}"  # type: ignore[attr-defined]
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise ValueError(explain(key, "a class without get_config()", "one with get_config()"))
        _CUSTOM[key] = item
        _CUSTOM_NAME[item] = key
        return item

    return decorate


def get_registered_name(obj: Any) -> str:
    """Return ``package>name`` of a registered class or function, else its own name."""
    name: str = _CUSTOM_NAME.get(obj, obj.__name__)
    return name


def get_custom_objects() -> dict[str, Any]:
    """Return the global dictionary of the user's own objects; what is added here is found by name."""
    return _CUSTOM


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any | None:
    """Find one of the user's own objects by ``package>name`` or by plain name, None when there is none."""
    for source in (*reversed(getattr(_scopes, "stack", [])), custom_objects or {}, _CUSTOM, module_objects or {}):
        if name in source:
            return source[name]
    return None


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, configs may name the given classes and functions: ``{"MyLayer": MyLayer}``."""
    stack = _scopes.__dict__.setdefault("stack", [])
    stack.append(custom_objects)
    try:
        yield
    finally:
        stack.pop()


@contextmanager
def object_sharing() -> Iterator[None]:
    """Within the block configs have a ``shared_object_id``, and those with the same one become one object again."""
    before = _scopes.__dict__.get("shared")
    _scopes.shared = {}, {}  # id → object, which keeps it alive and the id its own; id in a file → object
    try:
        yield
    finally:
        _scopes.shared = before


def _shared() -> tuple[dict[int, Any], dict[int, Any]] | None:
    return _scopes.__dict__.get("shared")


def serialize(item: Any) -> Any:
    """Turn an object into its config: plain values stay, objects become Keras's four-key dictionary."""
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    if isinstance(item, (list, tuple)):
        return type(item)(serialize(value) for value in item)
    if isinstance(item, Mapping):
        return {key: serialize(value) for key, value in item.items()}
    for kind, plain in _PLAIN.items():
        if isinstance(item, kind):
            return plain(item)
    return _described(item) if hasattr(item, "get_config") else _named(item)


def _numbers(array: np.ndarray, class_name: str) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"value": array.tolist(), "dtype": str(array.dtype)}}


_PLAIN: dict[type, Callable[[Any], Any]] = {
    np.generic: lambda number: number.item(),
    np.ndarray: lambda array: _numbers(array, "__numpy__"),
    torch.Tensor: lambda tensor: _numbers(tensor.detach().cpu().numpy(), "__tensor__"),
    torch.dtype: lambda dtype: str(dtype).removeprefix("torch."),
}


def _named(item: Any) -> Any:
    """Describe a class or a function by its name."""
    if inspect.isclass(item):
        return _describe(item, None)
    if callable(item):
        found = home(item)
        return found[1] if found else _describe(item, item.__name__, class_name="function")
    raise TypeError(explain("serialize", repr(item), "a plain value, a function, or an object with get_config()"))


def _described(item: Any) -> dict[str, Any]:
    """Describe an object: class, arguments, and the shapes a layer was built with."""
    config = _describe(type(item), serialize(item.get_config()))
    build_config = item.get_build_config() if hasattr(item, "get_build_config") else None
    if build_config:
        config["build_config"] = serialize(build_config)
    if shared := _shared():
        shared[0][id(item)] = item
        config["shared_object_id"] = id(item)
    return config


def _describe(item: Any, config: Any, class_name: str | None = None) -> dict[str, Any]:
    found = home(item)
    module, name = found if found else (item.__module__, class_name or item.__name__)
    registered_name = None if found else get_registered_name(item)
    return {"module": module, "class_name": name, "config": config, "registered_name": registered_name}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, namespace: str | None = None) -> Any:
    """Turn a config back into an object.

    Args:
        config: a plain value, a list, or a dictionary with ``class_name``.
        custom_objects: the user's own classes and functions by name.
        namespace: where to look when the config names no module, such as ``"keras.layers"``.

    Raises:
        ValueError: the class is not known; says how to supply it.
    """
    if custom_objects:
        with custom_object_scope(custom_objects):
            return deserialize(config, None, namespace)
    if isinstance(config, (list, tuple)):
        return type(config)(deserialize(value, None, namespace) for value in config)
    if isinstance(config, str) and namespace:
        return find(namespace, config, namespace)
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config:
        return {key: deserialize(value, None, namespace) for key, value in config.items()}
    return _instantiate(config, namespace)


def _instantiate(config: Mapping[str, Any], namespace: str | None) -> Any:
    name = config["class_name"]
    inner: Any = config.get("config")
    if name in ("__numpy__", "__tensor__"):
        array = np.array(inner["value"], inner["dtype"])
        return torch.from_numpy(array) if name == "__tensor__" else array
    if name == "function":
        name, inner = inner, None
    item = get_registered_object(config.get("registered_name") or name) or _search(
        config.get("module"), namespace, name
    )
    if item is None:
        raise ValueError(
            explain(
                "deserialize",
                f"the unknown name {name!r}",
                "a class or function of the library",
                f"If it is yours, pass custom_objects={{{name!r}: ...}} or decorate it with "
                "@register_keras_serializable(). " + nearest(name, _names(namespace)),
            )
        )
    if not inspect.isclass(item) or config["class_name"] == "function":
        return item
    key, shared = config.get("shared_object_id"), _shared()
    if shared and key in shared[1]:
        return shared[1][key]
    made = item.from_config(dict(inner or {})) if hasattr(item, "from_config") else item(**(inner or {}))
    if shared and key is not None:
        shared[1][key] = made
    return made


def _search(module: str | None, namespace: str | None, name: str) -> Any | None:
    spaces = [space for space in (module, namespace) if space in _BUILTIN]
    for space in spaces or _BUILTIN:
        item = lookup(space, name)
        if item is not None:
            return item
    return None


def _names(namespace: str | None) -> list[str]:
    spaces = [namespace] if namespace in _BUILTIN else list(_BUILTIN)
    return [name for space in spaces if space for name in _BUILTIN[space]]
