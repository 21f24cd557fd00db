"""Saving and loading: models, weights, and the registry of your own classes and functions."""

from convia.registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from convia.saving.configs import deserialize_keras_object, serialize_keras_object
from convia.saving.weights import load_weights, save_weights
from convia.saving.whole import load_model, model_from_json, model_from_yaml, save_model, to_json

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "model_from_json",
    "model_from_yaml",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "to_json",
]
