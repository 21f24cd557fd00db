"""``keras.models`` under older names: files of any ending, YAML, Keras 1's graphs."""

from collections.abc import Mapping
from typing import Any

from convia import registry, saving
from convia.compat.grafts.files import load_model, save_model
from convia.compat.names.graph_model import Graph
from convia.graph import Input
from convia.models import Functional, Model, Sequential, clone_model

model_from_json = saving.model_from_json


def model_from_yaml(yaml_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model from what ``to_yaml`` returned: JSON, which is YAML too."""
    return saving.model_from_json(yaml_string, custom_objects)


def model_from_config(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model from a config with its class's name, or from what ``get_config`` returned."""
    if "class_name" in config:
        return registry.deserialize(config, custom_objects)
    return (Functional if "input_layers" in config else Sequential).from_config(config, custom_objects)


__all__ = [
    "Graph",
    "Input",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]
