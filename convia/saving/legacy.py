"""Keras's first format, ``.h5``: weights in the order of the layers, with names; whole models as JSON in attributes."""

import warnings
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from convia.errors import explain
from convia.saving import eras, files, kernels, slots
from convia.saving.state import mismatch

_ATTRIBUTE_LIMIT = 64512  # bytes of one attribute in an HDF5 header
KERAS_VERSION = "3.15.1"  # whose formats are written


def weights_group(who: str, file: h5py.File) -> h5py.Group | None:
    """Return where the weights are in a legacy file, None if it is not one."""
    if {"layer_names", "layer_names0", "nb_layers"} & set(file.attrs):
        return file
    return files.group(who, file, "model_weights") if "model_weights" in file else None


# -- reading ----------------------------------------------------------------------------------------------------------


def read_weights(who: str, model: Any, place: h5py.Group, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Read the weights of a model, in the order of its layers or by their names.

    Raises:
        ValueError: another number of layers or weights, or other shapes, unless ``skip_mismatch``.
    """
    origin = _origin(place)
    names = files.texts(place, "layer_names") or [f"layer_{n}" for n in range(files.number(place, "nb_layers"))]
    saved = {name: _arrays(who, place, name) for name in names}
    if by_name:
        pairs = [(layer, saved[layer.name]) for layer in model.layers if layer.name in saved]
    else:
        pairs = _in_order(who, model, {name: arrays for name, arrays in saved.items() if arrays}, origin)
    pairs = [(layer, kernels.todays(layer, arrays, *origin)) for layer, arrays in pairs]
    if "top_level_model_weights" in place:
        pairs.append((_own_weights(model), _arrays(who, place, "top_level_model_weights")))
    complaints = []
    for layer, arrays in pairs:
        complaint = _complaint(layer, arrays)
        if complaint and not skip_mismatch:
            raise ValueError(explain(who, complaint, "weights of that number and shape", _REMEDY))
        complaints += [complaint] if complaint else []
    for layer, arrays in pairs:
        _assign(layer, arrays)
    if complaints:
        warnings.warn(
            explain(who, "; ".join(complaints), "weights that fit", "These are left as they were."), stacklevel=3
        )


_REMEDY = "Build the model as it was saved; by_name=True takes layers by their names, skip_mismatch=True what fits."


def _in_order(who: str, model: Any, saved: dict[str, list[np.ndarray]], origin: Any) -> list[tuple[Any, Any]]:
    layers = [layer for layer in model.layers if layer.weights]
    if len(layers) != len(saved):
        together = [array for arrays in saved.values() for array in arrays]
        everything = _Weights(model.name, [variable for layer in layers for variable in in_legacy_order(layer)], layers)
        fitting = kernels.todays(everything, together, *origin)
        if [array.shape for array in fitting] == [tuple(variable.shape) for variable in everything.weights]:
            return [(everything, together)]  # Keras 1 counted the layers below a Merge as part of it
        received = f"a file with weights of {len(saved)} layers ({_few(saved)})"
        ours = f"{len(layers)}, as many as the model has with weights ({_few(layer.name for layer in layers)})"
        raise ValueError(explain(who, received, ours, _REMEDY))
    return list(zip(layers, saved.values(), strict=True))


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _arrays(who: str, place: h5py.Group, name: str) -> list[np.ndarray]:
    entry = files.group(who, place, name)
    if entry is None:
        raise files.BadFileError(explain(who, f"a file without the layer {name!r} of its list", "a whole file"))
    names = files.texts(entry, "weight_names") or [f"param_{n}" for n in range(files.number(entry, "nb_params"))]
    return [files.array(who, entry, weight) for weight in names]


def _origin(place: h5py.Group) -> tuple[int, str | None]:
    """The version of Keras that wrote a file, and on which backend."""
    version, backend = (files.text(place, key) or files.text(place.file, key) for key in ("keras_version", "backend"))
    return eras.major(version), backend


class _Weights:
    """Weights that are not those of one layer."""

    def __init__(self, name: str, weights: list[Any], layers: Iterable[Any] = ()) -> None:
        self.name = name
        self.layers = list(layers)
        self.weights = self.trainable_weights = weights
        self.non_trainable_weights: list[Any] = []


def _own_weights(model: Any) -> _Weights:
    """The weights of a model itself, not those of its layers."""
    return _Weights(model.name, [*model._trainable_variables, *model._non_trainable_variables])


def in_legacy_order(layer: Any) -> list[Any]:
    """Return the weights that learn, then the others."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _order(layer: Any, arrays: list[np.ndarray]) -> list[Any]:
    """The order that fits: freezing layers after saving changes which weights come first."""
    books = [(inner._trainable_variables, inner._non_trainable_variables) for inner in _layers_in(layer)]
    by_kind = [*(v for learned, _ in books for v in learned), *(v for _, others in books for v in others)]
    for order in (in_legacy_order(layer), by_kind, layer.weights):
        if [tuple(variable.shape) for variable in order] == [array.shape for array in arrays]:
            return order
    return in_legacy_order(layer)


def _layers_in(layer: Any) -> list[Any]:
    return list(dict.fromkeys(layer._flatten_layers())) if hasattr(layer, "_flatten_layers") else []


def _complaint(layer: Any, arrays: list[np.ndarray]) -> str | None:
    order = _order(layer, arrays)
    if len(order) != len(arrays):
        ours = ", ".join(f"{variable.name} {tuple(variable.shape)}" for variable in order) or "none"
        return f"{len(arrays)} weights for layer {layer.name!r} {[array.shape for array in arrays]}, which has {ours}"
    return mismatch(layer, [(variable, array.shape) for variable, array in zip(order, arrays, strict=True)])


def _assign(layer: Any, arrays: list[np.ndarray]) -> None:
    order = _order(layer, arrays)
    if len(order) == len(arrays):
        for variable, array in zip(order, arrays, strict=True):
            if tuple(variable.shape) == array.shape:
                variable.assign(array)
    if hasattr(layer, "finalize_state") and arrays:
        layer.finalize_state()


def read_optimizer(who: str, file: h5py.File, optimizer: Any) -> None:
    """Read an optimizer's state; one that does not fit is left out with a warning, as in Keras."""
    place = files.group(who, file, "optimizer_weights")
    if place is None:
        return
    names = files.texts(place, "weight_names")
    slots.read(who, optimizer, names, [files.array(who, place, name) for name in names])


# -- writing ----------------------------------------------------------------------------------------------------------


def write_weights(place: h5py.Group, model: Any) -> None:
    """Write the weights of a model layer by layer."""
    _write_texts(place, "layer_names", [layer.name for layer in model.layers])
    place.attrs["backend"], place.attrs["keras_version"] = b"torch", KERAS_VERSION.encode()
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _write_variables(place.create_group(layer.name), in_legacy_order(layer))
    _write_variables(place.create_group("top_level_model_weights"), _own_weights(model).weights)


def write_optimizer(file: h5py.File, optimizer: Any) -> None:
    """Write an optimizer's state."""
    if optimizer.variables:
        _write_variables(file.create_group("optimizer_weights"), optimizer.variables)


def _write_variables(place: h5py.Group, variables: list[Any]) -> None:
    names: list[str] = []
    for variable in variables:
        name, number = str(variable.path), 0
        while name in names:
            number += 1
            name = f"{variable.path}_{number}"
        names.append(name)
        place[name] = variable.numpy()
    _write_texts(place, "weight_names", names)


def _write_texts(place: h5py.Group, name: str, items: list[str]) -> None:
    """Write a list of texts as an attribute, in parts if it is long."""
    data = np.asarray([item.encode("utf-8") for item in items])
    parts = max(1, -(-data.nbytes // _ATTRIBUTE_LIMIT))
    while any(part.nbytes > _ATTRIBUTE_LIMIT for part in np.array_split(data, parts)):
        parts += 1
    for number, part in enumerate(np.array_split(data, parts)):
        place.attrs[f"{name}{number}" if parts > 1 else name] = part.tolist()


__all__ = ["in_legacy_order", "read_optimizer", "read_weights", "weights_group", "write_optimizer", "write_weights"]
