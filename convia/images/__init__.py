"""Images: files, folders, sizes, and random changes to them."""

from convia.images.directory import image_dataset_from_directory
from convia.images.examine import examine
from convia.images.files import array_to_img, img_to_array, load_img, save_img
from convia.images.flows import DirectoryIterator
from convia.images.frame import DataFrameIterator
from convia.images.generator import ImageDataGenerator
from convia.images.iterators import Iterator, NumpyArrayIterator
from convia.images.resizing import resize, smart_resize
from convia.images.rows import rows
from convia.images.shards import image_dataset_from_shards

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "array_to_img",
    "examine",
    "image_dataset_from_directory",
    "image_dataset_from_shards",
    "img_to_array",
    "load_img",
    "resize",
    "rows",
    "save_img",
    "smart_resize",
]
