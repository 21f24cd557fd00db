"""The weights of a model as a tree of paths, in Keras 3's order: ``layers/conv2d/vars/0``, ``optimizer/vars/2``, …

An object with weights of its own (a layer, an optimizer) is found by the names of attributes, and in lists and dicts by
its class's name and a counter: names of layers are made up anew in each process, classes and attributes are not.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from convia.errors import explain
from convia.layer import Layer
from convia.naming import snake_case
from convia.optimizers import Optimizer
from convia.saving.files import BadFileError

Arrays = dict[str, np.ndarray]

_BASE = frozenset(dir(Layer())) | {"_compile_args", "graph", "history", "objective"}
_FAILURES = (ValueError, TypeError, KeyError, IndexError, RuntimeError)


def saveables(root: Any, count_seen: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) of a layer or model and all layers and optimizers inside, each once.

    Args:
        count_seen: whether a layer found before takes a number in a list; tf.keras 2 passed over it.
    """
    yield from _visit(root, "", {}, count_seen)


def _visit(item: Any, path: str, seen: dict[int, Any], count_seen: bool) -> Iterator[tuple[str, Any]]:
    if id(item) in seen:
        return
    seen[id(item)] = item  # kept alive: lists made by properties would hand on their ids
    if not _is_saveable(item):
        used: Counter[str] = Counter()
        for child in item.values() if isinstance(item, dict) else item:
            if (_is_saveable(child) or _is_container(child)) and (count_seen or id(child) not in seen):
                name = snake_case(_class_name(child)) if _is_saveable(child) else "container"
                number, used[name] = used[name], used[name] + 1
                yield from _visit(
                    _opened(child), f"{path}/{name}_{number}" if number else f"{path}/{name}", seen, count_seen
                )
        return
    yield path, item
    for name, child in _attributes(item):
        if _is_saveable(child) or _is_container(child):
            yield from _visit(_opened(child), f"{path}/{name}" if path else name, seen, count_seen)


def _attributes(item: Any) -> Iterator[tuple[str, Any]]:
    """Layers of a graph or a stack first; then the attributes by name, private ones last."""
    modules = getattr(item, "_modules", {})
    names = {*vars(item), *modules} - _BASE
    if isinstance(getattr(type(item), "layers", None), property):
        if getattr(item, "graph", None) is not None or "_stack" in names:
            yield "layers", item.layers
            names -= {name for name, module in modules.items() if name not in item._tracked}
        else:
            names.add("layers")
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        yield name, getattr(item, name)


def _class_name(item: Any) -> str:
    """The name of an object's class; in files of older Keras it may be another."""
    return getattr(item, "_former_class", None) or type(item).__name__


def _is_saveable(item: Any) -> bool:
    return hasattr(item, "save_own_variables") and not isinstance(item, type)


def _is_container(item: Any) -> bool:
    return isinstance(item, (list, tuple, dict, nn.Module))


def _opened(item: Any) -> Any:
    """A module of torch stands for the layers it holds."""
    return list(item.children()) if isinstance(item, nn.Module) and not _is_saveable(item) else item


def collect(root: Any) -> Iterator[tuple[str, str | None, Arrays]]:
    """Yield (path, name, arrays) of everything to be saved."""
    for path, item in saveables(root):
        arrays: Arrays = {}
        item.save_own_variables(arrays)
        name = getattr(item, "name", None)
        yield path, name if isinstance(name, str) else None, {key: _array(value) for key, value in arrays.items()}


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def restore(
    who: str,
    root: Any,
    get: Callable[[str], Arrays | None],
    skip_mismatch: bool = False,
    skip: Any = (),
    count_seen: bool = True,
) -> None:
    """Give all weights the values that ``get(path)`` finds. Nothing is changed when any is found to be wrong before.

    Args:
        get: path → arrays by number, None where the file has nothing.
        skip_mismatch: warn of what does not fit and leave it, instead of raising.
        skip: objects to leave alone.
        count_seen: see ``saveables``.

    Raises:
        ValueError: missing or surplus arrays, or arrays of other shapes; names the layers and both shapes.
    """
    left_alone = {id(item) for item in skip}
    found = [(item, get(path)) for path, item in saveables(root, count_seen) if id(item) not in left_alone]
    found = [(item, arrays) for item, arrays in found if arrays is not None or not isinstance(item, Optimizer)]
    complaints = {id(item): complaint for item, arrays in found if (complaint := _complaint(item, arrays or {}))}
    if complaints and not skip_mismatch:
        raise ValueError(_report(who, list(complaints.values())))
    for item, arrays in found:
        if id(item) not in complaints:
            try:
                item.load_own_variables(arrays or {})
            except BadFileError:
                raise
            except _FAILURES as error:
                complaints[id(item)] = f"{_label(item)}: {error}"
    if complaints:
        report = _report(who, list(complaints.values()))
        if not skip_mismatch:
            raise ValueError(report)
        warnings.warn(f"{report} They keep the weights they had.", stacklevel=4)


def _complaint(item: Any, arrays: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the arrays for a layer that loads in the usual way."""
    if getattr(type(item), "load_own_variables", None) is not Layer.load_own_variables:
        return None
    own = item._stored_variables()
    if len(arrays) != len(own) or any(str(number) not in arrays for number in range(len(own))):
        shapes = ", ".join(str(np.shape(value)) for value in arrays.values()) or "none"
        return f"{_label(item)} has {_named(own) or 'no weights'}, the file {len(arrays)} arrays for it ({shapes})"
    return mismatch(item, [(variable, np.shape(arrays[str(number)])) for number, variable in enumerate(own)])


def mismatch(item: Any, pairs: list[tuple[Any, tuple[int, ...]]]) -> str | None:
    """Say which variable of a layer has another shape than the file's array, None if all agree."""
    for variable, shape in pairs:
        if tuple(variable.shape) != tuple(shape):
            return f"{_label(item)}: {variable.name} has shape {tuple(variable.shape)}, the file's {tuple(shape)}"
    return None


def _named(variables: Any) -> str:
    return ", ".join(f"{variable.name} {tuple(variable.shape)}" for variable in variables)


def _label(item: Any) -> str:
    return f"{type(item).__name__} {getattr(item, 'name', '')!r}"


def _report(who: str, complaints: list[str]) -> str:
    shown = "; ".join(complaints[:5]) + (f"; and {len(complaints) - 5} more" if len(complaints) > 5 else "")
    return explain(
        who,
        f"weights that do not fit {len(complaints)} of the layers",
        "the weights of a model of this architecture",
        f"{shown}. Build the model as it was saved, or pass skip_mismatch=True to keep what fits.",
    )


__all__ = ["Arrays", "collect", "mismatch", "restore", "saveables"]
