"""Symbolic tensors that a function mentions besides its arguments: found, and replaced while the function runs.

Losses, metrics, ``Lambda`` layers and ``call`` methods of older eras use tensors of the model under construction, from
closures, global variables, attributes, or the arguments of a partial. In those days that was one graph. Here a
function runs on numbers, so each place that holds a symbolic tensor holds its value for the time of a call.
"""

import dis
import functools
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from convia.compat import eras
from convia.compat.door import graft
from convia.layer import Layer
from convia.layers import Lambda
from convia.symbolic import KerasTensor, any_symbolic, substitute, symbolic_leaves

_OURS = ("convia", "torch", "numpy", "tensorflow", "keras")
_KEY = "_mentioned"  # the argument by which a layer is given the values of what it mentions


@dataclass(frozen=True)
class Place:
    """Where a function finds a value: what holds it, a way to put another there, and the value."""

    put: Callable[[Any], None]
    value: Any


def mentions(function: Any) -> list[Place]:
    """Return the places in which a function finds symbolic tensors."""
    return list(_of(function, None, set()))


def symbols(places: Sequence[Place]) -> list[KerasTensor]:
    """Return the symbolic tensors in places, each once."""
    return list({id(leaf): leaf for place in places for leaf in symbolic_leaves(place.value)}.values())


@contextmanager
def replaced(places: Sequence[Place], values: dict[int, Any]) -> Iterator[None]:
    """Within the block the places hold ``values[id(tensor)]`` for each symbolic tensor."""
    try:
        for place in places:
            place.put(substitute(place.value, values))
        yield
    finally:
        for place in places:
            place.put(place.value)


def _of(function: Any, owner: Any, seen: set[Any]) -> Iterator[Place]:
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        yield from _of_partial(function, seen)
    elif isinstance(function, types.MethodType):
        yield from _of(function.__func__, function.__self__, seen)
    elif isinstance(function, types.FunctionType) and not str(function.__module__).startswith(_OURS):
        yield from _of_function(function, owner, seen)
    elif owner is None and not isinstance(function, (type, types.BuiltinFunctionType)):
        called = getattr(type(function), "__call__", None)  # noqa: B004  # an object with a method of its own
        if isinstance(called, types.FunctionType):
            yield from _of(called, function, seen)


def _of_partial(function: Any, seen: set[Any]) -> Iterator[Place]:
    if symbolic_leaves(list(function.args)):

        def put(args: Any) -> None:
            function.__setstate__((function.func, tuple(args), function.keywords, vars(function)))

        yield Place(put, list(function.args))
    yield from _held(((functools.partial(function.keywords.__setitem__, k), v) for k, v in function.keywords.items()),
                     (), seen)  # fmt: skip
    yield from _of(function.func, None, seen)


def _of_function(function: Any, owner: Any, seen: set[Any]) -> Iterator[Place]:
    code, scope = function.__code__, function.__globals__
    names, attributes = _loaded(code)
    cells = [(functools.partial(setattr, cell, "cell_contents"), cell.cell_contents) for cell in
             function.__closure__ or () if _filled(cell)]  # fmt: skip
    defaults = function.__kwdefaults__ or {}
    held = [
        *cells,
        *((functools.partial(scope.__setitem__, name), scope[name]) for name in names if name in scope),
        *((functools.partial(defaults.__setitem__, name), value) for name, value in defaults.items()),
    ]
    if symbolic_leaves(list(function.__defaults__ or ())):
        yield Place(lambda value: setattr(function, "__defaults__", tuple(value)), list(function.__defaults__))
    yield from _held(held, attributes, seen)
    if owner is not None:
        yield from _of_object(owner, attributes, seen)


def _held(held: Any, attributes: Any, seen: set[Any]) -> Iterator[Place]:
    """The places among (put, value), and those in what the values are made of."""
    for put, value in held:
        if isinstance(value, (KerasTensor, list, tuple, dict)):
            if symbolic_leaves([value]):
                yield Place(put, value)
        elif isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            yield from _of(value, None, seen)
        elif not isinstance(value, (type, types.ModuleType)):
            yield from _of_object(value, attributes, seen)


def _of_object(owner: Any, attributes: Any, seen: set[Any]) -> Iterator[Place]:
    """Places in the attributes of an object that are asked for, and in the methods that are called."""
    own = getattr(owner, "__dict__", {})
    if str(type(owner).__module__).startswith(_OURS) or (id(owner), "attributes") in seen:
        return
    plain = (KerasTensor, list, tuple, dict, types.FunctionType)
    asked = [name for name in attributes if isinstance(own.get(name), plain)]
    yield from _held([(functools.partial(own.__setitem__, name), own[name]) for name in asked], (), seen)
    for name in attributes:
        method = getattr(type(owner), name, None)
        if isinstance(method, types.FunctionType):
            yield from _of(method, owner, seen)


def _loaded(code: types.CodeType) -> tuple[list[str], list[str]]:
    """The global names and the attributes that code asks for, that within it included."""
    names: dict[str, None] = {}
    attributes: dict[str, None] = {}
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names[step.argval] = None
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            attributes[step.argval] = None
        elif isinstance(step.argval, types.CodeType):
            within = _loaded(step.argval)
            names.update(dict.fromkeys(within[0]))
            attributes.update(dict.fromkeys(within[1]))
    return list(names), list(attributes)


def names_in(function: Any, name: str) -> bool:
    """Whether the code of a program's function asks for a name or an attribute."""
    is_own = isinstance(function, types.FunctionType) and not str(function.__module__).startswith(_OURS)
    return is_own and any(name in found for found in _loaded(function.__code__))


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


# -- layers -----------------------------------------------------------------------------------------------------------


def _record(original: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that mentions symbolic tensors has them as inputs too; a list of one output was the output itself."""

    @functools.wraps(original)
    def record(self: Any, args: Any, kwargs: Any) -> Any:
        function = self.function if isinstance(self, Lambda) else self.call
        if eras.current() not in eras.OLD or (function == self.call and type(self).__module__.startswith("convia.")):
            return original(self, args, kwargs)
        self._ensure_built(args, kwargs)
        places = self.__dict__["_era_places"] = mentions(function)
        if places and _KEY not in kwargs:
            kwargs = {**kwargs, _KEY: symbols(places)}
        outputs = original(self, args, kwargs)
        is_one = isinstance(outputs, (list, tuple)) and len(outputs) == 1 and eras.current() in eras.STANDALONE
        return outputs[0] if is_one else outputs

    return record


def _general_forward(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def forward(self: Any, args: Any, kwargs: Any) -> Any:
        if _KEY not in kwargs or any_symbolic((), {_KEY: kwargs[_KEY]}):
            return original(self, args, kwargs)
        places = self.__dict__["_era_places"]
        values = dict(zip(map(id, symbols(places)), kwargs.pop(_KEY), strict=True))
        with replaced(places, values):
            return original(self, args, kwargs)

    return forward


def install() -> None:
    """Lend layers the values of what they mention."""
    graft(Layer, "_record", _record(Layer._record))
    graft(Layer, "_general_forward", _general_forward(Layer._general_forward))


__all__ = ["Place", "install", "mentions", "names_in", "replaced", "symbols"]
