"""Namespaces as TensorFlow has them: modules made of tables, whose missing names say what is there instead."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from convia.errors import explain, nearest

_ALL: dict[str, "Namespace"] = {}  # "tensorflow.image" → the namespace


class Namespace(ModuleType):
    """A module made of names and values; other namespaces among them are its submodules.

    Args:
        name: in full, such as "tensorflow.image".
        members: what it has.
    """

    def __init__(self, name: str, doc: str, members: Mapping[str, Any]) -> None:
        super().__init__(name, doc)
        self.__path__: list[str] = []  # submodules may be imported: import tensorflow.data.experimental
        self.__dict__.update(members)
        self.__all__ = sorted(members)
        _ALL[name] = self

    def __getattr__(self, name: str) -> Any:
        raise missing(self.__name__, name, self.__all__)


def missing(owner: str, name: str, known: Any) -> AttributeError:
    """Return the error about a name that is not there; it names the nearest one that is."""
    if name.startswith("__") and name.endswith("__"):
        return AttributeError(f"module {owner!r} has no attribute {name!r}")
    elsewhere = [f"{place}.{name}" for place, space in _ALL.items() if name in space.__dict__]
    remedy = f"There is {elsewhere[0]}." if elsewhere else nearest(name, known)
    if remedy.startswith("Known: ") and len(remedy) > 300:
        near = get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
        remedy = f"It is not part of what convia has of TensorFlow; the nearest name is {near!r}."
    return AttributeError(explain(owner, f"the name {name!r}", "a name that it has", remedy))


def public(module: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the functions and classes that a module defines itself, by name; a last underscore is left out."""
    own = module["__name__"]
    return {
        name.rstrip("_"): value
        for name, value in module.items()
        if not name.startswith("_") and getattr(value, "__module__", None) == own and name not in without
    }
