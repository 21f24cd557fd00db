"""Lambda layers in files: Keras 1 and 2 wrote their functions' code, which is never run here.

What a program itself has put into a Lambda layer is remembered while it runs, so that it can load its own files. The
shape that programs had to say was only heeded by backends that could not find it out.
"""

import functools
from collections.abc import Callable
from typing import Any

from convia import layers, registry
from convia.compat import eras
from convia.compat.door import graft

_functions: dict[str, Any] = {}  # by the name under which a config mentions them


def _get_config(original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @functools.wraps(original)
    def get_config(self: Any) -> dict[str, Any]:
        config = original(self)
        for key in ("function", "output_shape", "mask"):
            value = getattr(self, key)
            if callable(value) and eras.current() in eras.OLD and registry.home(value) is None:
                name = getattr(value, "__name__", "<lambda>")
                if name == "<lambda>":
                    name = f"<lambda {id(value):x}>"  # it lives as long as the table
                    config[key] = {"class_name": "function", "config": name, "registered_name": name}
                _functions[name] = value
        return config

    return get_config


def _compute_output_spec(original: Callable[..., Any]) -> Callable[..., Any]:
    """Find the shape out, and take the program's word where that fails: sizes that are not known yet may not fit."""

    @functools.wraps(original)
    def compute_output_spec(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is None or eras.current() not in eras.OLD:
            return original(self, *args, **kwargs)
        try:
            return layers.Layer.compute_output_spec(self, *args, **kwargs)
        except (RuntimeError, ValueError, TypeError):
            return original(self, *args, **kwargs)

    return compute_output_spec


def _found(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def find(name: str, custom_objects: Any = None, module_objects: Any = None) -> Any:
        found = original(name, custom_objects, module_objects)
        return _functions.get(name) if found is None else found

    return find


def install() -> None:
    """Lend the memory, an empty one."""
    _functions.clear()
    graft(layers.Lambda, "get_config", _get_config(layers.Lambda.get_config))
    graft(layers.Lambda, "compute_output_spec", _compute_output_spec(layers.Lambda.compute_output_spec))
    graft(registry, "get_registered_object", _found(registry.get_registered_object))
