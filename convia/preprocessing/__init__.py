"""Preparing images, under Keras's name for it."""

from convia.images import image_dataset_from_directory
from convia.preprocessing import image

__all__ = ["image", "image_dataset_from_directory"]
