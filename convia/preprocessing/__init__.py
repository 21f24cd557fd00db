"""Preparing data, under Keras's name for it."""

from convia.images import image_dataset_from_directory
from convia.preprocessing import image, sequence
from convia.utils.data import timeseries_dataset_from_array

__all__ = ["image", "image_dataset_from_directory", "sequence", "timeseries_dataset_from_array"]
