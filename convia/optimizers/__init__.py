"""Optimizers of Keras 3, in place on torch tensors."""

from collections.abc import Mapping
from typing import Any

from convia import registry
from convia.errors import explain
from convia.optimizers import schedules
from convia.optimizers.adagrad import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from convia.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from convia.optimizers.base import Optimizer
from convia.optimizers.muon import Muon
from convia.optimizers.sgd import SGD, Lion
from convia.optimizers.wrappers import LossScaleOptimizer, MultiOptimizer, OptimizerMap

_NAMESPACE = "keras.optimizers"


def get(identifier: Any) -> Any:
    """Return an optimizer for a name in any case, a config or an optimizer; None for None.

    Raises:
        ValueError: none of these, or an unknown name.
    """
    found = None if isinstance(identifier, type) else registry.find(_NAMESPACE, identifier, "Optimizer")
    if isinstance(found, Optimizer) or identifier is None:
        return found
    raise ValueError(explain("Optimizer", repr(identifier), "a name such as 'adam', a config, or an Optimizer"))


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's config in Keras's format."""
    config: dict[str, Any] = registry.serialize(optimizer)
    return config


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make an optimizer from its config; your own classes by name in ``custom_objects``."""
    return registry.deserialize(config, custom_objects, _NAMESPACE)


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
