"""The door: calls from outside are translated by the tables of ``arguments``, calls within convia pass as they are.

Constructors and methods of the library are wrapped while the eras are in use and given back afterwards. Who calls is
read off the caller's frame, so that convia itself never sees an older meaning.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from convia import backend
from convia.compat import eras
from convia.compat.arguments import DEFAULTS, JOINED, LENGTHS, NUMBERS_FIRST, POSITIONS, VALUES, WITH_INPUTS
from convia.compat.report import note

_ABSENT = object()
_changed: list[tuple[Any, str, Any]] = []
_remembered: list[tuple[type, dict[str, Any]]] = []
_OF_PYTHON = {"__dict__", "__weakref__", "__doc__", "__annotations__", "__abstractmethods__", "__static_attributes__"}


def graft(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of a class or module of the library until ``ungraft``."""
    _changed.append((owner, name, vars(owner).get(name, _ABSENT)))
    setattr(owner, name, value)


def graft_all(owner: Any, names: type | Mapping[str, Any]) -> None:
    """Set what a class or a mapping holds as attributes of another class."""
    items = vars(names) if isinstance(names, type) else names
    for name, value in items.items():
        if name not in ("__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__firstlineno__",
                        "__static_attributes__"):  # fmt: skip
            graft(owner, name, value)


class Lent:
    """A property that an object's own attribute of that name goes before."""

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self._get(instance)


def remember() -> None:
    """Note what the library's classes have, so that what a program sets on them ends with it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("convia."):
            own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]
            _remembered.extend((owner, dict(vars(owner))) for owner in own)


def ungraft() -> None:
    """Give everything back as it was."""
    while _changed:
        owner, name, value = _changed.pop()
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    for owner, before in _remembered:
        now = dict(vars(owner))
        for name in now.keys() - before.keys() - _OF_PYTHON:
            delattr(owner, name)
        for name, value in before.items():
            if now.get(name) is not value and name not in _OF_PYTHON:
                setattr(owner, name, value)
    _remembered.clear()


def from_outside(depth: int = 2) -> bool:
    """Whether the function ``depth`` calls above is not one of convia's."""
    name = sys._getframe(depth).f_globals.get("__name__", "")
    return not name.startswith("convia.")


def wrap(owner: Any, method: str, name: str, table: Mapping[str, str | None],
         also: Callable[..., Any] | None = None) -> None:  # fmt: skip
    """Let calls of a method from outside be translated first.

    Args:
        name: what the tables call it.
        table: old argument → new one, None for those left out.
        also: called as also(self, args, kwargs) → (args, kwargs) after the tables.
    """
    original = getattr(owner, method)
    accepted = _parameters(original)

    @functools.wraps(original)
    def either(self: Any, *args: Any, **kwargs: Any) -> Any:
        if from_outside():
            args, kwargs = translated(name, table, accepted, args, kwargs)
            if also is not None:
                args, kwargs = also(self, args, kwargs)
        return original(self, *args, **kwargs)

    graft(owner, method, either)


def _parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]


def translated(
    name: str, table: Mapping[str, str | None], accepted: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call under today's names."""
    args, kwargs = _from_positions(name, args, dict(kwargs))
    for olds, joined in JOINED:
        if set(olds.split()) <= kwargs.keys() and joined not in kwargs:
            kwargs[joined] = tuple(kwargs.pop(old) for old in olds.split())
            note("(" + ", ".join(olds.split()) + ")", joined)
    for old in [key for key in kwargs if key in table and key not in accepted]:
        new, value = table[old], kwargs.pop(old)
        note(old, new or "")
        if new is not None:
            kwargs.setdefault(new, value)
    for key, value in kwargs.items():
        kwargs[key] = today(key, value)
    args = tuple(map(today, accepted, args)) if len(args) <= len(accepted) else args
    if eras.current() in eras.OLD:
        kwargs = _with_input_shape(name, kwargs)
    positional = accepted[: len(args)]
    for key, value in DEFAULTS[eras.current()].get(name, {}).items():
        if key not in kwargs and key not in positional:
            kwargs[key] = today(key, value)
    return args, kwargs


def _with_input_shape(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Layers of sequences say their inputs' sizes as any other layer; an Embedding always knows how many axes."""
    names = LENGTHS.get(name, ())
    is_told = name == "Embedding" or any(key in kwargs for key in names)
    if not is_told or "input_shape" in kwargs or "batch_input_shape" in kwargs:
        return kwargs
    sizes = [kwargs.get(key) for key in names]
    flat = [size for part in sizes for size in (part if isinstance(part, (tuple, list)) else (part,))]
    return {**{key: value for key, value in kwargs.items() if key not in names}, "input_shape": tuple(flat)}


def _without_inputs(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Leave out what Keras 0.1 asked for first and found out later: the size of a layer's inputs."""
    count, place = WITH_INPUTS.get(name, (0, 0))
    if not count or len(args) < count or not all(type(value) is int for value in args[:count]):
        return args
    if name != "Conv2D":
        kwargs.setdefault("input_dim", args[place])
    note(f"{name}({', '.join(map(str, args[:count]))})", f"the same without {args[place]}, the inputs")
    return (*args[:place], *args[place + 1 :])


def _from_positions(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if eras.current() not in eras.STANDALONE or name not in POSITIONS or len(args) < 2:
        return args, kwargs
    if eras.current() == "keras1":
        args = _without_inputs(name, args, kwargs)
    names, first = POSITIONS[name].split(), NUMBERS_FIRST.get(name, 0)
    of_old = (
        len(args) >= first and all(isinstance(value, int) for value in args[:first])
        if first
        else eras.current() == "keras1" and name != "Embedding"
    )
    if not of_old or len(args) > len(names):
        return args, kwargs
    if first:
        note(f"{name}({', '.join(map(str, args[:first]))})", f"{name}({args[0]}, {args[1:first]})")
        kwargs = {"filters": args[0], "kernel_size": args[1:first], **kwargs}
        names, args = names[first:], args[first:]
    return (), {**dict(zip(names, args, strict=False)), **kwargs}


def today(key: str, value: Any) -> Any:
    """Return what a value of an argument means today."""
    if key in VALUES and isinstance(value, str) and value.lower() in VALUES[key]:
        return VALUES[key][value.lower()]
    if key.endswith("activation") and value == "hard_sigmoid" and eras.current() in eras.OLD:
        return backend.hard_sigmoid
    if key.endswith("initializer") and inspect.isroutine(value):
        return _initializer(value)
    return value


def _initializer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Functions of older eras take (shape) or (shape, name=None), and may return variables."""
    names = _parameters(function)
    if "dtype" in names:
        return function

    @functools.wraps(function)
    def initialize(shape: Any, dtype: Any = None) -> Any:
        value = function(shape, name=None) if "name" in names else function(shape)
        return value.detach() if hasattr(value, "detach") else value

    return initialize


__all__ = ["Lent", "from_outside", "graft", "graft_all", "remember", "today", "translated", "ungraft", "wrap"]
