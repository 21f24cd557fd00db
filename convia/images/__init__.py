"""Images: files, folders, sizes."""

from convia.images.directory import image_dataset_from_directory
from convia.images.files import array_to_img, img_to_array, load_img, save_img
from convia.images.resizing import resize, smart_resize

__all__ = [
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "resize",
    "save_img",
    "smart_resize",
]
