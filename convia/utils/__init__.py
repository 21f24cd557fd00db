"""Helpers around models and data, gathered from where they are at home."""

from convia.backend import clear_session
from convia.callbacks import Progbar
from convia.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from convia.config import dtype_name as standardize_dtype
from convia.fetch import get_file
from convia.function import get_source_inputs
from convia.images import (
    array_to_img,
    image_dataset_from_directory,
    image_dataset_from_shards,
    img_to_array,
    load_img,
    save_img,
)
from convia.models.plot import model_to_dot, plot_model
from convia.numerical import normalize, to_categorical
from convia.random import set_random_seed
from convia.registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from convia.registry import custom_object_scope as CustomObjectScope  # noqa: N812
from convia.saving import deserialize_keras_object, serialize_keras_object
from convia.symbolic import is_symbolic as is_keras_tensor
from convia.training.data import PyDataset
from convia.training.data import PyDataset as Sequence
from convia.training.data import pack as pack_x_y_sample_weight
from convia.training.data import unpack as unpack_x_y_sample_weight
from convia.utils import bounding_boxes
from convia.utils.data import pad_sequences, split_dataset, timeseries_dataset_from_array
from convia.utils.settings import Config

__all__ = [
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "image_dataset_from_shards",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
