"""Losses: what training minimizes, as classes, functions and names ("mse", "categorical_crossentropy", …)."""

from collections.abc import Mapping
from typing import Any

from convia import registry
from convia.errors import explain
from convia.losses import base, crossentropy, embedding, inputs, margin, overlap, regression
from convia.losses.base import *
from convia.losses.crossentropy import *
from convia.losses.embedding import *
from convia.losses.inputs import *
from convia.losses.margin import *
from convia.losses.overlap import *
from convia.losses.regression import *
from convia.naming import snake_case

__all__ = ["deserialize", "get", "resolve", "serialize", "task"]
for _module in (base, crossentropy, embedding, inputs, margin, overlap, regression):
    __all__ += _module.__all__

for _function, _short in (
    (binary_crossentropy, "bce"),
    (kl_divergence, "kld"),
    (mean_absolute_error, "mae"),
    (mean_absolute_percentage_error, "mape"),
    (mean_squared_error, "mse"),
    (mean_squared_logarithmic_error, "msle"),
):
    registry.register("keras.losses", _function, _short, _short.upper())


def get(identifier: Any) -> Any:
    """Return the loss of a name, config, class, function or instance: a function or a :class:`Loss`; None of None."""
    return registry.find("keras.losses", identifier, "losses.get")


def serialize(loss: Any) -> Any:
    """Return the config of a loss, the name of a function of the library."""
    return registry.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the loss of what ``serialize`` returned."""
    return registry.deserialize(name, custom_objects, "keras.losses")


def task(y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> str:
    """Return what the shapes of labels and outputs say: "binary", "sparse_categorical" or "categorical"."""
    if y_pred_shape[-1] == 1:
        return "binary"
    one_number = len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1
    return "sparse_categorical" if one_number else "categorical"


def resolve(identifier: Any, y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> Loss | None:
    """Return the :class:`Loss` that ``compile(loss=identifier)`` means for an output.

    "crossentropy" and "ce" are binary, sparse or categorical by the shapes. A name stays the loss's name.

    Raises:
        ValueError: an unknown name.
    """
    if identifier is None:
        return None
    chosen = identifier
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        chosen = f"{task(y_true_shape, y_pred_shape)}_crossentropy"
    loss = get(chosen)
    if isinstance(loss, Loss):
        return loss
    if not callable(loss):
        raise TypeError(explain("compile, argument 'loss'", repr(identifier), "a loss, its name or a function"))
    name = identifier if isinstance(identifier, str) else getattr(loss, "name", None)
    return LossFunctionWrapper(loss, name=name or snake_case(getattr(loss, "__name__", type(loss).__name__)))
